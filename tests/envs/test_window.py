"""The window that shows an episode."""

import importlib.util
import sys

import numpy as np
import pytest

from edgelearn_env.envs.window import Window
from edgelearn_env.errors import MissingExtraError

needs_pygame = pytest.mark.skipif(importlib.util.find_spec("pygame") is None, reason="needs pygame")


@needs_pygame
def test_a_window_shows_the_image_pixel_by_pixel(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window()
    rgb = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    window.show(rgb)
    import pygame

    shown = pygame.surfarray.array3d(pygame.display.get_surface())
    window.close()
    np.testing.assert_array_equal(shown.swapaxes(0, 1), rgb)


@needs_pygame
def test_a_window_closed_by_its_user_stays_closed_quietly(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window, rgb = Window(), np.zeros((40, 60, 3), np.uint8)
    window.show(rgb)
    import pygame

    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert not window.closed
    window.show(rgb)
    assert window.closed
    window.show(rgb)
    assert not pygame.display.get_init()
    window.close()


def test_loading_pygame_neither_prints_nor_warns(monkeypatch, tmp_path, capsys):
    (tmp_path / "pygame.py").write_text("import warnings\nprint('Hello')\nwarnings.warn('old', stacklevel=1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "pygame", None)
    del sys.modules["pygame"]
    Window()
    assert sys.modules["pygame"].__file__ == str(tmp_path / "pygame.py")
    assert capsys.readouterr().out == ""


def test_a_missing_pygame_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgelearn-env\[human\]'"):
        Window()
