"""Threads come from the container's CPU limit, not from the node's size."""

from __future__ import annotations

import os

import pytest

from service.cpu import cpu_limit, plan_threads


@pytest.fixture
def big_node(monkeypatch):
    """A node with 64 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


def cgroup_v1(root, quota):
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (root / "cpu" / "cpu.cfs_period_us").write_text("100000\n")


@pytest.mark.parametrize(
    ("cpu_max", "limit"), [("100000 100000", 1), ("50000 100000", 0.5), ("250000 100000", 2.5)]
)
def test_cgroup_v2_limits(big_node, tmp_path, cpu_max, limit):
    (tmp_path / "cpu.max").write_text(f"{cpu_max}\n")

    assert cpu_limit(cgroup_root=tmp_path) == (limit, f"cgroup v2 cpu.max: {limit:g} CPUs")


def test_cgroup_v1_limits(big_node, tmp_path):
    cgroup_v1(tmp_path, 150000)

    assert cpu_limit(cgroup_root=tmp_path) == (1.5, "cgroup v1 cpu.cfs_quota_us: 1.5 CPUs")


def test_without_a_limit_the_affinity_mask_counts(big_node, tmp_path):
    assert cpu_limit(cgroup_root=tmp_path) == (64, "CPU affinity: 64 CPUs")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu_limit(cgroup_root=tmp_path) == (64, "CPU affinity: 64 CPUs")


def test_cgroup_v1_without_a_quota(big_node, tmp_path):
    cgroup_v1(tmp_path, -1)

    assert cpu_limit(cgroup_root=tmp_path) == (64, "CPU affinity: 64 CPUs")


@pytest.mark.parametrize(
    ("limit", "threads"), [(0.5, 1), (1, 1), (2, 1), (2.9, 1), (3, 2), (4.5, 3), (8, 4), (64, 4)]
)
def test_one_cpu_is_left_to_the_event_loop_and_at_most_four_compute(limit, threads):
    assert plan_threads(limit) == threads


def test_what_is_given_stands(big_node, tmp_path):
    (tmp_path / "cpu.max").write_text("300000 100000\n")

    assert cpu_limit(8, tmp_path) == (8, "CPU_LIMIT: 8 CPUs")
