"""The import contract "pure" of `pyproject.toml`: decisions know no SQL, HTTP, clock, dice or log."""

from typing import Any, cast

from grimp import ImportGraph
from importlinter import ContractCheck, fields
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.domain.helpers import module_expressions_to_modules
from importlinter.domain.imports import Module, ModuleExpression


class PureContract(ForbiddenContract):
    """A forbidden import, for every module of the source except named edges.

    Pure is the default: a new module is held to it without a list to think of. `edge_modules` name the
    few that read, write, wait or measure. One that reaches nothing forbidden is no edge: it leaves the list.
    """

    type_name = "pure"

    edge_modules = fields.SetField(subfield=fields.ModuleExpressionField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Take the edges out of the sources, then look for imports as the base class does."""

        def named(field: fields.Field[Any]) -> set[Module]:
            # The library declares fields on the class and puts their values on the instance.
            return set(module_expressions_to_modules(graph, cast("Any", field)))

        edges = named(self.edge_modules)
        self._check_all_modules_exist_in_graph(edges, graph)
        forbidden = {module.name for module in named(self.forbidden_modules)}
        for edge in sorted(edges, key=lambda module: module.name):
            if not graph.find_upstream_modules(edge.name) & forbidden:
                message = f"{edge.name} reaches nothing forbidden: take it off edge_modules."
                raise ValueError(message)
        pure = named(self.source_modules) - edges
        self.source_modules = cast("Any", {ModuleExpression(module.name) for module in pure})
        return super().check(graph, verbose)
