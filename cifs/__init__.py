"""CIFS: seeing, measuring and teaching why CNNs are fooled, channel by channel (ICML 2021, arXiv 2102.05311)."""

__version__ = "0.1.0"
