from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kogner.config import Recipe
from kogner.errors import ConfigError
from kogner.mapping import from_mapping, to_mapping
from kogner.recipe import load_recipe, shipped

RECIPES = sorted(path for path in (Path(__file__).parents[1] / "recipes").glob("*.yaml") if path.name != "prices.yaml")


def test_the_papers_table():
    """Every value of the paper's table (arXiv 2503.15737)."""
    recipe = load_recipe("paper")
    assert recipe.student.encoder == "microsoft/deberta-v3-large"
    assert recipe.student.initial == "gliner-community/gliner_large-v2.5"
    assert recipe.student.max_width == 8
    assert recipe.student.hidden == 512
    assert recipe.distil.kg_hidden == 58
    assert recipe.student.dropout == 0.4
    assert recipe.train.steps == 10_000
    assert recipe.train.batch_size == 8
    assert recipe.train.warmup_ratio == 0.1
    assert recipe.train.schedule == "cosine"
    assert recipe.loss.focal_alpha == -1
    assert (recipe.loss.lang_weight, recipe.loss.dist_weight) == (0.8, 0.2)
    assert recipe.distil.parts == ("Z", "Z'", "Z''")


def test_the_papers_recipe_declares_what_the_paper_leaves_open():
    """Our readings, docs/decisions.md: a change of one of them changes what `--recipe paper` means."""
    recipe = load_recipe("paper")
    assert (recipe.train.encoder_lr, recipe.train.head_lr, recipe.train.precision) == (1e-5, 5e-5, "bf16")
    assert recipe.loss.focal_gamma == 0
    assert recipe.distil.target == "linear"
    assert recipe.student.label_encoder == "shared"
    assert recipe.teacher.features.encoder == "minilm"
    assert (recipe.teacher.unimp.layers, recipe.teacher.unimp.hidden) == (2, 128)
    assert (recipe.teacher.transr.entity_dim, recipe.teacher.transr.relation_dim) == (128, 64)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_survive_a_round_trip(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    again = from_mapping(Recipe, yaml.safe_load(yaml.safe_dump(to_mapping(recipe))), where="again")
    assert again == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", "unknown key 'stepz'; did you mean 'steps'"),
        ("teacher.unimp.head=2", "did you mean 'heads'"),
        ("train.steps=many", "steps must be of type int, not 'many'"),
        ("train.steps=0", "must be at least 1"),
        ("train.batch_size=true", "must be of type int"),
        ("student.dropout=1.5", r"must be in \[0, 1\)"),
        ("train.schedule=sometimes", "must be one of"),
        ("distil.parts=[Q]", "may hold Z, Z' and Z''"),
        ("train", "must look like section.key=value"),
        ("train.steps.more=1", "is a value, not a section"),
        ("student.encoder=null", "must not be empty"),
        ("teacher.unimp.fanouts=[0,5]", r"teacher\.unimp\.fanouts=\[0, 5\] must be 1 or more each"),
        ("teacher.unimp.fanouts=[5]", "1 numbers for 2 layers"),
        ("teacher.unimp.learning_rate=0", "learning_rate=0.0 must be above 0"),
        ("teacher.unimp.learning_rate=.nan", "learning_rate=nan must be above 0 and finite"),
        ("teacher.unimp.learning_rate=.inf", "learning_rate=inf must be above 0 and finite"),
        ("teacher.unimp.weight_decay=-1", "weight_decay=-1.0 must be 0 or more"),
        ("teacher.unimp.weight_decay=.nan", "weight_decay=nan must be 0 or more"),
        ("teacher.unimp.steps=0", "steps=0 must be above 0"),
        ("teacher.unimp.heads=3", "must be a multiple of heads=3"),
        ("teacher.unimp.dropout=1", r"dropout=1.0 must be in \[0, 1\)"),
        ("teacher.unimp.valid_share=.nan", r"valid_share=nan must be in \[0, 1\)"),
        ("teacher.unimp.seed=-1", r"UnimpConfig.seed=-1 must be in \[0, 2\*\*63\)"),
        ("teacher.transr.seed=99999999999999999999", r"TransrConfig.seed=9{20} must be in"),
        ("teacher.transr.margin=.nan", "margin=nan must be above 0"),
        ("teacher.transr.patience=-1", "patience=-1 must be 0 or more"),
    ],
)
def test_bad_overrides_say_what_and_how(override, message):
    base = ["train.steps=5"] if "more" in override else []
    with pytest.raises(ConfigError, match=message):
        load_recipe("small", [*base, override])


def test_overrides_take_yaml_values():
    recipe = load_recipe("small", ["train.encoder_lr=5e-5", "train.steps=null", "distil.parts=[Z]"])
    assert recipe.train.encoder_lr == 5e-5
    assert recipe.train.steps is None
    assert recipe.distil.parts == ("Z",)


def test_a_missing_recipe_names_the_way_out():
    with pytest.raises(ConfigError, match="neither a file nor one of the shipped recipes, such as small"):
        load_recipe("recipes/none.yaml")
    with pytest.raises(ConfigError, match=r"one of the shipped experiments, such as .*few-documents"):
        shipped("nothing", "experiments")


def test_what_is_shipped_is_found_from_anywhere(tmp_path, monkeypatch):
    names = ("quick", "quick.yaml", "recipes/experiments/quick.yaml", Path("recipes/experiments/quick.yaml"))
    monkeypatch.chdir(tmp_path)
    (file,) = {shipped(name, "experiments") for name in names}
    assert file.name == "quick.yaml" and file.is_file()
    (tmp_path / "quick").write_text("name: mine\n")
    assert shipped("quick", "experiments") == Path("quick"), "a file that is there comes first"
    for other in ("other/quick.yaml", tmp_path / "quick.yaml"):
        with pytest.raises(ConfigError, match="neither a file"):
            shipped(other, "experiments")


def test_a_recipe_must_be_yaml(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("a: [1")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_recipe(file)
    file.write_text("- a")
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_recipe(file)
