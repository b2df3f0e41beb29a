"""What the scanner leaves out because it would flood: common words, bare symbols, upper classes, roles, adjectives.

The word lists are short and written by hand, after looking at errors on train splits; the rest is read from the graph:
how many classes lie above and below an entity, and whether a word heads the names it occurs in.
"""

from __future__ import annotations

import numpy as np

from kogner.graph.forms import cased, stem
from kogner.graph.store import GraphStore

_FUNCTION = """
    a about above after again all also am among an and any are as at be because been before being below between
    both but by can could did do does done due during each few for from further gave get given had has have having
    he her here him his how i if in into is it its itself just keep low made man map may me men might more most
    much must my near no nor not now of off often on once one only or other our out over own per put ran rest run
    same saw see seen set she should side so some such than that the their them then there these they this those
    three through to too two under until up upon us use used very via was way we well were what when where which
    while who whom why will with within without would yet you your
"""
FUNCTION = frozenset(_FUNCTION.split())
_GENERIC = """
    abnormality absent acid acquired active acute adult affected age agent aggressive aging allele analysis animal
    antagonist application arm atom base bilateral birth blocker blood body care case cause cell change child
    chronic class clinical combination common complete complex compound concentration condition control course day
    defect deficiency deficit delayed diagnosis diet difficulty disability disease disorder dominant donor dose
    drug early effect element emergency enzyme episode event exposure extract factor failure family fast fed
    female focal food form fragment frequency gas gene general genetic grade group growth head health high history
    hormone human image inborn individual induction infant inherited inhibitor injury intermittent ion isolated
    label late lead lesion level life ligand line liquid localized long loss male marker mass material matter
    measure medication medicine metabolite metal method mild mixture moderate molecule mosaic mutation new normal
    number observation old onset oral organ organism pan part particle patient peptide period placebo plan plus
    polymer position positive powder preparation present primary proband probe procedure process product
    progressive property protein radical rare rat rate reaction reagent receptor recessive recurrence recurrent
    region relapse rest result rich risk role salt sample secondary self severe severity sex short sign single
    skin solid solution solvent specific sporadic stage standard state stress strong study subject substance
    substrate sudden support symptom syndrome system target test therapy time tissue tool trace treatment trial
    type unit variable variant vehicle weak weight white woman worker year young
"""
GENERIC = frozenset(_GENERIC.split())
SHORT_SYMBOL = 2  # symbols of at most so many characters stand for too much: Na, MS, AT, R
AROUND = 30  # characters on each side in which a small letter shows that a text is not all in capitals
LARGE, SHALLOW = 100, 12  # an upper class of chemicals has so many descendants and at most so many ancestors
TYPE_SHARE = 0.2  # elsewhere an upper class holds this share of its type
SHALLOW_ELSEWHERE = 4

_CHEMICAL = frozenset({"chemical", "compound", "drug", "metabolite"})
_MACROMOLECULES = frozenset({"Proteins", "Enzymes", "Nucleic Acids", "protein", "nucleic acid"})


class Guard:
    """Decides about names of one graph. Answers about entities are kept, since a text repeats them."""

    def __init__(self, store: GraphStore) -> None:
        self._store = store
        plain = [name.lower() for name in store.relations]
        triples = np.asarray(store.triples)
        lower, upper = store.hierarchy()
        self._up, self._down = _steps(lower, upper, len(store)), _steps(upper, lower, len(store))
        self._has_children = np.bincount(upper, minlength=len(store)) > 0
        types = np.array([kind.lower() in _CHEMICAL for kind in store.types])
        self._chemical = types[np.asarray(store.type_codes)]
        self._refused = self._chemical & _macromolecules(store, lower, upper)
        roles = triples[triples[:, 1] == plain.index("has_role"), 2] if "has_role" in plain else []
        self._refused[roles] |= self._chemical[roles]
        self._sizes = np.bincount(np.asarray(store.type_codes), minlength=len(store.types))
        self._general: dict[int, bool] = {}

    def refuses_text(self, written: str) -> bool:
        """Whether a stretch of text is taken for no name at all: common words, lone letters, numbers with a letter.

        A function word in capitals may be a symbol (WAS), unless everything around it is shouted: see `shouted`.
        """
        plain = cased(written)
        folded = plain.lower()
        letters = sum(character.isalpha() for character in plain)
        if not letters or (folded in FUNCTION and not (plain.isupper() and len(plain) > SHORT_SYMBOL)):
            return True
        if len(plain) <= SHORT_SYMBOL or (letters == 1 and len(plain) <= 3):
            return True
        return written.isalpha() and (stem(written) in GENERIC or folded in GENERIC)

    def shouted(self, text: str, start: int, end: int) -> bool:
        """Whether a symbol at [start, end) that is also a function word stands in text without small letters."""
        if text[start:end].lower() not in FUNCTION:
            return False
        around = text[max(0, start - AROUND) : start] + text[end : end + AROUND]
        return around == around.upper() and any(character.isalpha() for character in around)

    def refuses(self, row: int) -> bool:
        """Whether an entity is too general to be named: an upper class, or a role or macromolecule among chemicals."""
        if self._refused[row]:
            return True
        if not self._has_children[row]:
            return False
        found = self._general.get(row)
        if found is None:
            found = self._general[row] = self._is_upper(row)
        return found

    def _is_upper(self, row: int) -> bool:
        shallow, large = SHALLOW, LARGE
        if not self._chemical[row]:
            shallow = SHALLOW_ELSEWHERE
            large = max(LARGE, int(TYPE_SHARE * self._sizes[self._store.type_codes[row]]))
        return (
            len(self._closure(row, self._up, shallow + 2)) <= shallow + 1
            and len(self._closure(row, self._down, large + 1)) > large
        )

    def _closure(self, row: int, steps: _Steps, cap: int) -> set[int]:
        """The entity and what is reached from it, until `cap` entities are known; cycles do no harm."""
        starts, ends = steps
        seen, waiting = {row}, [row]
        while waiting and len(seen) < cap:
            here = waiting.pop()
            for one in ends[int(starts[here]) : int(starts[here + 1])].tolist():
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
        return seen


_Steps = tuple[np.ndarray, np.ndarray]


def _steps(heads: np.ndarray, tails: np.ndarray, entities: int) -> _Steps:
    """Pairs of entities by their first: where each begins (entities + 1,), and all second ones."""
    starts = np.zeros(entities + 1, np.int64)
    np.cumsum(np.bincount(heads, minlength=entities), out=starts[1:])
    return starts, tails[np.argsort(heads, kind="stable")]


def _macromolecules(store: GraphStore, children: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(entities,) bool: classes of proteins and nucleic acids, and what has no parent but below such a class.

    children, parents: (n,) rows, the ends of the is_a triples.
    """
    named = np.zeros(len(store), bool)
    for name in _MACROMOLECULES:
        named[[match.row for match in store.lexicon.lookup(name) if match.tier == "exact" and match.preferred]] = True
    below = named.copy()
    while True:
        fresh = children[below[parents] & ~below[children]]
        if not len(fresh):
            break
        below[fresh] = True
    all_parents = np.bincount(children, minlength=len(store))
    below_parents = np.bincount(children[below[parents]], minlength=len(store))
    return named | ((all_parents > 0) & (all_parents == below_parents))
