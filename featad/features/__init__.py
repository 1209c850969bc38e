"""Frozen transformers from images to tables of features; nothing here is learned."""

from featad.features.backbone import BackboneFeatures
from featad.features.filters import FilterBankFeatures
from featad.features.layers import (
    BACKBONES,
    default_layers,
    layer_names,
    patch_layers,
)
from featad.features.patches import PatchFeatures
from featad.features.tables import features_to_file
from featad.features.vgg import VGGFeatures, VGGPatches

__all__ = [
    "BACKBONES",
    "BackboneFeatures",
    "FilterBankFeatures",
    "PatchFeatures",
    "VGGFeatures",
    "VGGPatches",
    "default_layers",
    "features_to_file",
    "layer_names",
    "patch_layers",
]
