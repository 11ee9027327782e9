"""Covariances in packed form: nothing is lost, nothing is stored twice, and earlier versions' blocks are read."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32
from gapcast.core.learning.online_model import packed_covariance


def symmetric(n_columns: int, seed: int) -> F32:
    root = np.random.default_rng(seed).normal(0, 1, (2, n_columns, n_columns)).astype(np.float32)
    return root + root.transpose(0, 2, 1)


@given(st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_packed_covariance_equals_its_matrix(n_columns: int, seed: int) -> None:
    matrices = symmetric(n_columns, seed)
    packed = packed_covariance.from_matrices(matrices)
    assert packed.shape == (2, packed_covariance.packed_size(n_columns))
    assert packed_covariance.columns_of(packed) == n_columns
    assert packed.flags.c_contiguous
    assert np.array_equal(packed_covariance.to_matrices(packed), matrices)


def test_covariances_of_no_device_are_converted_both_ways() -> None:
    packed = packed_covariance.from_matrices(np.empty((0, 7, 7), dtype=np.float32))
    assert packed.shape == (0, packed_covariance.packed_size(7))
    assert packed_covariance.to_matrices(packed).shape == (0, 7, 7)
    assert packed_covariance.pack(packed_covariance.unpack(packed), 7).shape == packed.shape


@given(st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_blocks_of_a_packed_covariance_give_it_back(n_columns: int, seed: int) -> None:
    packed = packed_covariance.from_matrices(symmetric(n_columns, seed))
    blocks = packed_covariance.unpack(packed)
    assert blocks.shape[1:] == packed_covariance.blocks_shape(n_columns)
    own = blocks[..., : blocks.shape[2]]
    assert np.array_equal(own, own.transpose(0, 1, 3, 2)), "blocks on the diagonal are whole"
    assert np.array_equal(packed_covariance.pack(blocks, n_columns), packed)
