"""What dbt's models, sources and tests are called in the asset graph, and who answers for them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator

from retail_assets.warehouse.promises import promise

if TYPE_CHECKING:
    from dagster_dbt import DbtProject

OWNERS = ["team:data-platform"]


class WarehouseTranslator(DagsterDbtTranslator):
    """A source is the bronze asset of its name, a model is `warehouse/<model>`, a test is a check on its model.

    A test of severity `error` blocks what is downstream in the same run; those of severity `warn` only show.
    """

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """`bronze/<table>` for a source, `warehouse/<model>` for a model."""
        layer = "bronze" if dbt_resource_props["resource_type"] == "source" else "warehouse"
        return dg.AssetKey([layer, dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """One group for all models; sources keep the group of the asset they are."""
        return "warehouse" if dbt_resource_props["resource_type"] == "model" else None

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        """The data platform answers for every model."""
        return OWNERS

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The description of the model, without its SQL: the UI links to the code."""
        return str(dbt_resource_props["description"]).strip()

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: "DbtProject | None"
    ) -> dg.AssetCheckSpec | None:
        """The default, with what the test promises."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        said = promise(self.get_resource_props(manifest, unique_id))
        return None if spec is None else spec._replace(description=said)
