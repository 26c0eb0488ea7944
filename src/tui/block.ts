// The lines that stay at the bottom while a run goes on: one a running stage, then what comes next. Pure: view and width in, text out.
import type { RunView, StageView } from "#src/domain/RunView.ts"
import { bytes, compact, duration, fixed, number } from "#src/report/format.ts"
import type { Theme } from "#src/report/Theme.ts"
import { figures, remaining, smooth } from "#src/report/training.ts"

const barWidth = 10
const sparkWidth = 8

/** A bar of `barWidth` cells and its share in per cent. */
export const bar = (theme: Theme, share: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * barWidth)
  return `${theme.ramp.at(-1)?.repeat(full)}${theme.empty.repeat(barWidth - full)} ${String(Math.floor(share * 100)).padStart(3)} %`
}

/** The history in `sparkWidth` columns; a column shows the mean of its values, scaled between the smallest and largest column. */
export const sparkline = (theme: Theme, history: readonly number[]): string => {
  const columns = Math.min(sparkWidth, history.length)
  const means = Array.from({ length: columns }, (_, column) => {
    const part = history.slice(Math.floor((column * history.length) / columns), Math.floor(((column + 1) * history.length) / columns))
    return part.reduce((sum, value) => sum + value, 0) / part.length
  })
  const low = Math.min(...means)
  const range = Math.max(...means) - low || 1
  return means.map((mean) => theme.ramp[Math.round(((mean - low) / range) * (theme.ramp.length - 1))]).join("")
}

/** As many parts, in order of importance, as fit; they are shown in reading order. */
const fitted = (parts: readonly { readonly text: string; readonly rank: number }[], width: number): string => {
  const kept = new Set<number>()
  let used = 0
  for (const [index, part] of [...parts.entries()].toSorted(([, a], [, b]) => a.rank - b.rank)) {
    if (part.text === "" || used + part.text.length + 2 > width) continue
    used += part.text.length + 2
    kept.add(index)
  }
  return parts
    .filter((_, index) => kept.has(index))
    .map((part) => part.text)
    .join("  ")
}

const stageLine = (theme: Theme, stage: StageView, now: string, width: number): string => {
  const { progress, live, history } = stage
  const losses = history[figures.loss] ?? []
  const rest = remaining(stage, now)
  const speed = live[figures.speed]?.value
  const validation = live[figures.validation]?.value
  const started = stage.startedAt === null ? now : stage.startedAt
  const moved =
    progress === null
      ? `${duration(Math.max(0, Date.parse(now) - Date.parse(started)))}`
      : `${number(progress.done)}/${number(progress.total)}`
  return fitted(
    [
      { rank: 0, text: ` ${stage.id.padEnd(8)}` },
      { rank: 1, text: progress === null ? "" : bar(theme, progress.done / progress.total) },
      { rank: 2, text: moved },
      { rank: 3, text: losses.length === 0 ? "" : `loss ${fixed(smooth(losses))}` },
      { rank: 6, text: losses.length < 2 ? "" : sparkline(theme, losses) },
      { rank: 5, text: validation === undefined || validation === null ? "" : `val ${fixed(validation)}` },
      { rank: 7, text: speed === undefined || speed === null ? "" : `${compact(speed)} tok/s` },
      { rank: 8, text: stage.rss === null ? "" : bytes(stage.rss) },
      { rank: 4, text: rest === undefined ? "" : `eta ${duration(rest)}` }
    ],
    width
  )
}

export interface BlockState {
  readonly streaming: boolean
  readonly stopping: boolean
}

/** @param now ISO time; @param width columns of the terminal: no line is longer */
export const liveBlock = (theme: Theme, view: RunView, now: string, width: number, state: BlockState): readonly string[] => {
  const stop = state.stopping ? "stopping after this step; ctrl-c again stops at once" : "ctrl-c stops after this step"
  const keys = ` s ${state.streaming ? "live view" : "stream"} ${theme.dot} ${stop}`
  // While it streams, one line says how to come back.
  if (state.streaming) return [fitted([{ rank: 0, text: keys }], width)]
  const running = view.stages.filter((stage) => stage.state === "running" || stage.state === "locked")
  const next = view.stages.filter((stage) => stage.state === "waiting").map((stage) => stage.id)
  const following = next.length === 0 ? "" : ` next  ${next.join(` ${theme.arrow} `)}`.slice(0, Math.max(0, width - 2))
  return [
    theme.rule.repeat(width),
    ...running.slice(0, 6).map((stage) => theme.paint("bold", stageLine(theme, stage, now, width))),
    fitted(
      [
        { rank: 1, text: following },
        { rank: 0, text: keys }
      ],
      width
    )
  ]
}
