"""Pictures made by a program: the only ones ``vgg_mini`` is pretrained on."""

from pipelines.pretraining.pictures import FAMILIES, generate

__all__ = ["FAMILIES", "generate"]
