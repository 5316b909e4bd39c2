"""A window for the frames of an episode; pygame loads when one is opened."""

import contextlib
import io
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from edgelearn_env.errors import MissingExtraError


class Window:
    """A window for images, opened by the first one; once the user has closed it, showing does nothing.

    Raises:
        MissingExtraError: pygame is not installed.
    """

    def __init__(self, caption: str = "edgelearn-env") -> None:
        self._pygame = _imported_pygame()
        self._caption = caption
        self._screen: Any = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the user or `close` has closed it."""
        return self._closed

    def show(self, rgb: np.ndarray) -> None:
        """Show an image, uint8 (H, W, 3), scaled to the window's size."""
        if self._closed:
            return
        pygame = self._pygame
        size = (rgb.shape[1], rgb.shape[0])
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption(self._caption)
            self._screen = pygame.display.set_mode(size, pygame.RESIZABLE)
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            self.close()
            return
        image = pygame.image.frombuffer(rgb.tobytes(), size, "RGB")
        screen = pygame.display.get_surface()
        screen.blit(pygame.transform.smoothscale(image, screen.get_size()), (0, 0))
        pygame.display.flip()

    def close(self) -> None:
        """Close the window for good; does nothing the second time."""
        if self._screen is not None:
            self._pygame.display.quit()
        self._screen, self._closed = None, True


def _imported_pygame() -> ModuleType:
    try:
        # Importing pygame prints an advertisement, and warns about packages of its own choice.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pygame
    except ImportError as error:
        sentence = "render_mode='human' needs pygame: pip install 'edgelearn-env[human]'"
        raise MissingExtraError(sentence) from error
    return pygame
