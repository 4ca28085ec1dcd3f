"""Ours beside the reference, every real peer and the physical limit: ``python -m torchcrop_fast bench``."""
