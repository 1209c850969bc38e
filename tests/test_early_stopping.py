"""Early stopping is offered where held-out samples measure how well a network fits."""

import pytest

from featad.detectors import AnoGAN, ASCNet, DiscriminatorGAN, FAnoGAN


@pytest.mark.parametrize("cls", [AnoGAN, ASCNet, DiscriminatorGAN])
def test_a_critic_s_opinion_stops_nothing(cls, images):
    with pytest.raises(ValueError, match="must be None, because .*; set max_epochs"):
        cls(early_stopping=5).fit(images)
    cls(early_stopping=None)._validate_params()


def test_only_the_encoder_of_fanogan_stops_early(images):
    tiny = {"latent_dim": 2, "width": 4, "max_epochs": 6, "lr": 0.05, "random_state": 0}
    detector = FAnoGAN(**tiny, early_stopping=1, device="cpu").fit(images)
    watched = [(r["stage"], "validation" in r) for r in detector.history_]
    assert watched[:6] == [("gan", False)] * 6
    assert set(watched[6:]) == {("encoder", True)}
