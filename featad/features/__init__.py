"""Frozen transformers from images to tables of features; nothing here is learned."""

from featad.features.backbone import BackboneFeatures
from featad.features.filters import FilterBankFeatures
from featad.features.layers import BACKBONES, default_layers, layer_names
from featad.features.vgg import VGGFeatures

__all__ = [
    "BACKBONES",
    "BackboneFeatures",
    "FilterBankFeatures",
    "VGGFeatures",
    "default_layers",
    "layer_names",
]
