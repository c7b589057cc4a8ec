// How near a reconstruction comes to its scan.
import type { JobRecord } from "../api/types";
import { figure } from "../text/words";

interface Closeness {
  psnr?: number | null;
  ssim?: number | null;
  mae?: number;
}

const ROWS = [
  ["psnr", "PSNR", "dB", "Peak signal-to-noise ratio: higher is nearer"],
  ["ssim", "SSIM", "", "Structural similarity: 1 is equal"],
  ["mae", "MAE", "unit", "Mean absolute error: lower is nearer"],
] as const;

function told(value: number | null | undefined, unit: string, name: string): string {
  if (value === undefined) return "–";
  if (value === null) return name === "psnr" ? "equal" : "–";
  return `${name === "ssim" ? value.toFixed(3) : figure(value)} ${unit}`.trim();
}

export function Metrics({ record }: { record: JobRecord }) {
  const { metrics } = record;
  if (!metrics || !("psnr" in metrics)) return null;
  const model = metrics as Closeness;
  const scan = (metrics["scan_grid"] ?? {}) as Closeness;
  const units = String(metrics["mae_units"] ?? "");
  return (
    <table class="metrics" data-testid="metrics">
      <caption class="unseen">Reconstruction against the scan</caption>
      <thead>
        <tr>
          <th scope="col">Against the scan</th>
          <th scope="col">Its own grid</th>
          <th scope="col">Model's grid</th>
        </tr>
      </thead>
      <tbody>
        {ROWS.map(([key, name, unit, meaning]) => (
          <tr key={key}>
            <th scope="row" title={meaning}>
              {name}
            </th>
            <td>{told(scan[key], unit === "unit" ? units : unit, key)}</td>
            <td>{told(model[key], unit === "unit" ? units : unit, key)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
