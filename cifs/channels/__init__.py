"""Channels: activation, relevance, importance, statistics, interventions; who carried a failure, and what if."""

from cifs.channels.activation import activation, active
from cifs.channels.capture import capture, editing, intervene, layer_names
from cifs.channels.circuit import (
    Circuit,
    MarginCurves,
    Patching,
    circuits,
    first_of,
    margin_curve,
    margin_curves,
    random_orders,
    share_of_random_sets,
)
from cifs.channels.example import Retelling, most_telling, retell, telling
from cifs.channels.film import Film, LayerFilm, film, most_moved
from cifs.channels.margin import MarginSplit, margin, margin_split, strongest_rivals
from cifs.channels.relevance import RELEVANCES, Relevance
from cifs.channels.saliency import grad_cam, integrated_gradients
from cifs.channels.shift import Estimate, Shift
from cifs.channels.statistics import ChannelStatistics, ClassMeans, channel_statistics
from cifs.channels.survey import Survey, Surveyor
from cifs.channels.transfer import TransferMatrix, shown_to_all, transfer
from cifs.channels.view import View, view, views
from cifs.channels.what_if import Edits, Reselected, Scaled, attack_again, edited, masks_of, predict, shuffled

__all__ = [
    "RELEVANCES",
    "ChannelStatistics",
    "Circuit",
    "ClassMeans",
    "Edits",
    "Estimate",
    "Film",
    "LayerFilm",
    "MarginCurves",
    "MarginSplit",
    "Patching",
    "Relevance",
    "Reselected",
    "Retelling",
    "Scaled",
    "Shift",
    "Survey",
    "Surveyor",
    "TransferMatrix",
    "View",
    "activation",
    "active",
    "attack_again",
    "capture",
    "channel_statistics",
    "circuits",
    "edited",
    "editing",
    "film",
    "first_of",
    "grad_cam",
    "integrated_gradients",
    "intervene",
    "layer_names",
    "margin",
    "margin_curve",
    "margin_curves",
    "margin_split",
    "masks_of",
    "most_moved",
    "most_telling",
    "predict",
    "random_orders",
    "retell",
    "share_of_random_sets",
    "shown_to_all",
    "shuffled",
    "strongest_rivals",
    "telling",
    "transfer",
    "view",
    "views",
]
