"""modelcycle's container images, built from the repository's Dockerfiles and kept as OCI archives keyed by content."""

from e2e.images.errors import ImagesError
from e2e.images.image import Image, build

__all__ = ["Image", "ImagesError", "build"]
