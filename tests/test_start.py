"""What a start waits for: no command imports what it does not need."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torchvision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)
from torchvision.models.squeezenet import Fire as TorchvisionFire

import featad
from featad.features.graph import cut, node_names
from featad.features.vgg_mini import Fire
from featad.features.weights import load_network

SCORING = """
import sys, featad, numpy

images = numpy.load(sys.argv[1])
for model in sys.argv[2:]:
    featad.score_to_file(featad.load(model), images, model + ".csv")
    slow = sys.modules.keys() & {"torch", "torch._dynamo", "torchvision"}
    assert slow <= ({"torch"} if "mini" in model else set()), (model, slow)
"""


def test_shipped_networks_need_no_torchvision_and_other_systems_no_torch(tmp_path):
    images = np.random.default_rng(0).random((12, 24, 24, 3), dtype=np.float32)
    np.save(tmp_path / "images.npy", images)
    small = {"features__image_size": 32}
    first = {
        "features__weights": "generated",
        "features__layer": ("conv3_1", "conv4_1"),
    }
    systems = {
        "pixels-knn": featad.build("pixels-knn"),
        "filters-mahalanobis": featad.build("filters-mahalanobis"),
        "mini": featad.build("mini-stats-mahalanobis").set_params(**small),
        "mini1": featad.build("mini-stats-mahalanobis").set_params(**small, **first),
    }
    for name, system in systems.items():
        featad.save(system.fit(images), tmp_path / f"{name}.joblib")
    models = [str(tmp_path / f"{name}.joblib") for name in systems]
    command = [sys.executable, "-c", SCORING, str(tmp_path / "images.npy"), *models]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_imports_neither_torch_nor_scikit_learn_nor_pandas():
    helps = "".join(f"main({[*command, '--help']})\n" for command in ([], ["score"]))
    heavy = "{'torch', 'sklearn', 'scipy', 'pandas'}"
    code = f"import sys\nfrom featad.cli import main\n{helps}"
    code += f"sys.exit(len(sys.modules.keys() & {heavy}))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("weights", ["default", "generated"])
def test_nodes_of_the_shipped_networks_have_the_names_of_torchvision(weights):
    network, _ = load_network("vgg_mini", weights)
    names = get_graph_node_names(network, suppress_diff_warning=True)[1]
    assert node_names(network) == tuple(names[1:])  # without the input


@pytest.mark.parametrize("weights", ["default", "generated"])
def test_parts_of_the_shipped_networks_give_what_torchvisions_give(weights):
    nodes = ["features.3", "features.9", "classifier.normalize_1", "classifier"]
    x = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    ours = cut(load_network("vgg_mini", weights)[0], nodes)
    theirs = create_feature_extractor(load_network("vgg_mini", weights)[0], nodes)
    expected = theirs.eval()(x)
    assert list(expected) == nodes
    assert all(torch.equal(ours(x)[node], expected[node]) for node in nodes)


def test_a_part_holds_no_module_that_it_does_not_run():
    part = cut(load_network("vgg_mini")[0], ["features.3.squeeze"])
    kept = [name for name, module in part.named_modules() if not [*module.children()]]
    assert kept == [f"features.{i}" for i in range(3)] + ["features.3.squeeze"]


def test_a_fire_module_is_that_of_torchvision():
    ours, theirs = Fire(8, 4, 6), TorchvisionFire(8, 4, 6, 6)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 5, 7)
    assert torch.equal(ours(x), theirs(x))
