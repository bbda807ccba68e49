// What a dashboard of ours may be: Grafana's published types, narrowed to the kinds of panels that we use, so that an
// unknown key or a wrong type anywhere is a fault. tests/dashboards/schema.py has the compiler hold every file to it.

import type {
  AnnotationQuery, Dashboard, DashboardLink, DataQuery, DataSourceRef, FieldConfig, GraphFieldConfig, Panel, RowPanel,
  VariableModel,
} from "@grafana/schema";
import type { Options as BarGauge } from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { Options as TimeSeries } from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// JSON has no enumerations: their values are what stands there.
type Plain<T> = T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends (infer Item)[] ? Plain<Item>[]
  : T extends object ? { [Key in keyof T]: Plain<T[Key]> }
  : T;

// Of the Prometheus plugin, which publishes no types.
interface Query extends Omit<DataQuery, "datasource"> {
  expr: string;
  legendFormat: string;
  instant?: boolean;
  range?: boolean;
}

interface Annotation extends AnnotationQuery {
  expr: string;
  titleFormat: string;
  textFormat: string;
}

interface DataLink {
  title: string;
  url: string;
  targetBlank: boolean;
}

interface Override {
  matcher: { id: "byName" | "byRegexp"; options: string };
  properties: { id: string; value: unknown }[];
}

interface Of<Kind extends string, Options, Custom>
  extends Omit<Panel, "type" | "options" | "targets" | "fieldConfig" | "datasource"> {
  id: number;
  type: Kind;
  title: string;
  description: string;
  datasource: DataSourceRef;
  options: Options;
  targets: Query[];
  fieldConfig: {
    defaults: Omit<FieldConfig, "custom" | "links"> & { custom?: Custom; links?: DataLink[] };
    overrides: Override[];
  };
}

type AnyPanel =
  | Of<"stat", Stat, never>
  | Of<"bargauge", BarGauge, never>
  | Of<"timeseries", TimeSeries, GraphFieldConfig>
  | RowPanel;

export type Checked = Plain<
  Omit<Dashboard, "panels" | "annotations" | "templating" | "links"> & {
    uid: string;
    title: string;
    links: DashboardLink[];
    annotations: { list: Annotation[] };
    templating: { list: VariableModel[] };
    panels: AnyPanel[];
  }
>;
