// Glyphs and colours of human output. Colour never carries meaning alone: every state has a glyph, and every glyph an ASCII twin.
import type { StageState } from "#src/domain/RunView.ts"

export type Colour = "green" | "red" | "yellow" | "cyan" | "dim" | "bold"

export interface Theme {
  readonly glyph: Readonly<Record<StageState | "alert", string>>
  readonly arrow: string
  readonly dot: string
  readonly sigma: string
  readonly better: string
  readonly worse: string
  /** From empty to full, for sparklines; the last one also fills progress bars. */
  readonly ramp: readonly string[]
  readonly empty: string
  readonly rule: string
  readonly paint: (colour: Colour, text: string) => string
}

const codes: Record<Colour, number> = { green: 32, red: 31, yellow: 33, cyan: 36, dim: 2, bold: 1 }

export const stateColour: Record<StageState | "alert", Colour> = {
  done: "green",
  reused: "cyan",
  running: "yellow",
  waiting: "dim",
  locked: "dim",
  failed: "red",
  skipped: "dim",
  stopped: "yellow",
  alert: "yellow"
}

export const makeTheme = (options: { readonly ascii: boolean; readonly colour: boolean }): Theme => ({
  ...(options.ascii ? ascii : unicode),
  paint: options.colour ? (colour, text) => `\x1b[${codes[colour]}m${text}\x1b[0m` : (_, text) => text
})

const unicode = {
  glyph: { done: "✔", reused: "↺", running: "●", waiting: "◌", locked: "◌", failed: "✘", skipped: "‖", stopped: "‖", alert: "!" },
  arrow: "→",
  dot: "·",
  sigma: "σ",
  better: "▼",
  worse: "▲",
  ramp: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
  empty: "░",
  rule: "─"
}

const ascii = {
  glyph: { done: "+", reused: "=", running: "*", waiting: ".", locked: ".", failed: "x", skipped: "-", stopped: "-", alert: "!" },
  arrow: "->",
  dot: "|",
  sigma: "sd",
  better: "v",
  worse: "^",
  ramp: ["_", ".", "-", "=", "*", "#"],
  empty: ".",
  rule: "-"
}
