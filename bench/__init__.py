"""Ours beside the reference, every real peer and the physical limit: ``python -m torchcrop_fast bench``.

Installed as ``torchcrop_fast.bench``. ``make gpu-report`` and ``make gpu-tune`` import it as ``bench``, from the source
tree: they run before anything is built, where ``torchcrop_fast`` cannot be imported.
"""
