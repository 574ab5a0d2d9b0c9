"""Vendors do not know each other: an adapter can be added, changed or taken out without a look at the rest."""

from __future__ import annotations

from itertools import permutations

import grimp
import pytest

from mcp_server.catalog import REGISTRY


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("mcp_server", cache_dir=None)


def test_no_vendor_imports_another_by_whatever_way(imports: grimp.ImportGraph) -> None:
    folders = [f"mcp_server.providers.{name}" for name in REGISTRY]

    assert set(folders) <= imports.modules
    assert [pair for pair in permutations(folders, 2) if imports.chain_exists(*pair, as_packages=True)] == []


def test_nothing_but_the_vendor_itself_imports_its_adapter(imports: grimp.ImportGraph) -> None:
    """It is found through the registry: a line elsewhere would have to be changed with it."""
    for name in REGISTRY:
        folder = f"mcp_server.providers.{name}"
        mine = {folder, *imports.find_descendants(folder)}
        from_outside = {
            (importer, module)
            for module in mine
            for importer in imports.find_modules_that_directly_import(module) - mine
        }
        assert from_outside == set()


def test_a_protocol_of_the_sandbox_is_found_through_the_registry_alone(imports: grimp.ImportGraph) -> None:
    for name in REGISTRY:
        module = f"mcp_server.sandbox.vendors.{name}"
        if module in imports.modules:
            assert imports.find_modules_that_directly_import(module) == set()
