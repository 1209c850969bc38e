"""Where images are odd: maps of any system, one scale for all of them, regions."""

from featad.maps.regions import segment
from featad.maps.scale import MapScale, fit_map_scale
from featad.maps.systems import anomaly_maps, occlusion_maps

__all__ = ["MapScale", "anomaly_maps", "fit_map_scale", "occlusion_maps", "segment"]
