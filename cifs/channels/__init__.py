"""Channels: activation, relevance, importance, statistics, interventions."""

from cifs.channels.activation import activation, active
from cifs.channels.capture import capture, editing, intervene, layer_names
from cifs.channels.example import Retelling, most_telling, retell, telling
from cifs.channels.relevance import RELEVANCES, Relevance
from cifs.channels.shift import Estimate, Shift
from cifs.channels.statistics import ChannelStatistics, ClassMeans, channel_statistics
from cifs.channels.view import View, view

__all__ = [
    "RELEVANCES",
    "ChannelStatistics",
    "ClassMeans",
    "Estimate",
    "Relevance",
    "Retelling",
    "Shift",
    "View",
    "activation",
    "active",
    "capture",
    "channel_statistics",
    "editing",
    "intervene",
    "layer_names",
    "most_telling",
    "retell",
    "telling",
    "view",
]
