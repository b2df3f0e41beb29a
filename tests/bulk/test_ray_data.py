"""What each actor of Ray gets."""

import pytest

from kogner.bulk.ray_data import actors_of
from kogner.errors import ConfigError


def test_on_processors_one_is_left_for_those_that_read():
    assert actors_of("cpu", {"CPU": 8.0, "GPU": 2.0}, count=None) == (7, 0.9, 0)
    assert actors_of("cpu", {"CPU": 1.0}, count=None) == (1, 0.9, 0)
    assert actors_of("cpu", {}, count=3) == (3, 0.9, 0)


def test_each_gpu_has_an_actor():
    assert actors_of("cuda", {"CPU": 16.0, "GPU": 4.0}, count=None) == (4, 0.9, 1)
    assert actors_of("cuda:0", {"CPU": 16.0, "GPU": 4.0}, count=1) == (1, 0.9, 1)
    actors, processors, _ = actors_of("cuda", {"CPU": 4.0, "GPU": 8.0}, count=None)
    assert actors == 8 and actors * processors <= 4 - 0.1  # a tenth of a processor is for who reads


@pytest.mark.parametrize(
    ("device", "cluster", "count", "says"),
    [
        ("cuda", {"CPU": 8.0}, None, "cluster has no GPU; give --device cpu"),
        ("cuda", {"CPU": 8.0, "GPU": 2.0}, 3, "--processes 3 with --device cuda: Ray's cluster has 2 GPUs"),
        ("cuda:1", {"CPU": 8.0, "GPU": 2.0}, None, "Ray chooses each actor's GPU; give --device cuda"),
    ],
)
def test_gpus_that_are_not_there(device, cluster, count, says):
    with pytest.raises(ConfigError, match=says):
        actors_of(device, cluster, count=count)
