"""A recorded forecast made once more, by the version that made it and from the features it was made from."""

from collections.abc import Mapping, Sequence

from retail_assets.forecasting.context import ForecastContext
from retail_assets.forecasting.model import DemandForecaster, recorded_baseline, request_frame
from retail_assets.provenance.forecasts import ForecastFeatures, ForecastReplay, compared
from retail_assets.provenance.snapshots import Row, Snapshots
from retail_assets.resources.model_proof import proven
from retail_assets.resources.model_store import ModelStore


def forecast_again(
    reader: Snapshots, store: ModelStore, rows: Sequence[Row], features: ForecastFeatures, versions: Mapping[str, int]
) -> ForecastReplay:
    """Makes the recorded forecaster forecast the days of `rows` (of gold/forecasts, one store-SKU) again.

    Features are read from gold as it was; the baseline is the recorded one.

    Raises ModelStoreError for a version that was deleted, VersionGone or LakeError for gold that is gone.
    """
    version, first = rows[0]["model_version"], rows[0]
    targets = [row["target_date"] for row in rows]
    forecaster = DemandForecaster.load(proven(store, "forecasting", version))
    context = ForecastContext.read(reader.lake, since=features.day, versions=versions, sku=first["sku"])
    horizon = (max(targets) - features.day).days
    baseline = recorded_baseline(rows)
    frame = request_frame(first["store_id"], first["sku"], features.values(), context, features.day, horizon, baseline)
    made = forecaster.predict(frame)
    by_day = dict(zip(frame["target_date"], made.to_dict("records"), strict=True))
    return compared(version, rows, [by_day[day] for day in targets])
