"""What the libraries were built with. setup.py writes it."""

TORCH_VERSION: str
COMPILER: str
FLAGS: str
CUDA_VERSION: str | None
