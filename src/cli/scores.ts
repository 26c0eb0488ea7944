// The scores artifact as people read it: the model beside its untouched base, and sampled answers before and after.
import { readFileSync } from "node:fs"
import * as Schema from "effect/Schema"
import { Scores } from "#src/domain/Scores.ts"
import type { RunView } from "#src/domain/RunView.ts"
import { cut, harmless, number, signed } from "#src/report/format.ts"
import { textTable } from "#src/report/table.ts"
import type { Theme } from "#src/report/Theme.ts"
import { objectPath } from "#src/store/Objects.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"

/** The scores of each stage of a run that made some, whether made or reused. */
export const scoresOf = (workspace: WorkspacePaths, view: RunView): ReadonlyMap<string, Scores> =>
  new Map(
    view.stages.flatMap((stage) =>
      stage.outputs
        .filter((output) => output.kind === "scores")
        .map((output) => {
          const text = readFileSync(objectPath(workspace, output.digest), "utf8")
          return [stage.id, Schema.decodeUnknownSync(Scores)(JSON.parse(text))] as const
        })
    )
  )

/** "METRIC  BASE  MODEL  CHANGE  95 % INTERVAL", a row a metric; an interval that spans 0 is no clear change. */
export const comparison = (theme: Theme, scores: Scores): string =>
  textTable({
    header: ["metric", "base", "model", "change", "95 % interval"],
    numeric: [1, 2, 3, 4],
    rows: Object.entries(scores.metrics).map(([name, { model, baseline, better, difference }]) => {
      const change = model === null || baseline === null ? null : model - baseline
      const gain = change === null ? null : better === "higher" ? change > 0 : change < 0
      const text = change === null ? "-" : signed(change)
      const coloured = gain === null || change === 0 ? text : theme.paint(gain ? "green" : "red", text)
      const interval = difference === undefined ? "-" : `${signed(difference.low)} .. ${signed(difference.high)}`
      return [name, number(baseline), number(model), coloured, interval]
    })
  })

/** Each sample as four lines of at most `width` columns: what was asked, what was wanted, the base's answer, the model's. */
export const sampledAnswers = (theme: Theme, scores: Scores, width: number): readonly string[] =>
  scores.samples.flatMap((sample) => {
    const shown = (text: string): string => harmless(cut(text, width - 8))
    return [
      "",
      theme.paint("bold", `asked   ${shown(sample.prompt)}`),
      `wanted  ${shown(sample.reference)}`,
      `before  ${shown(sample.baseline)}`,
      `after   ${shown(sample.model)}`
    ]
  })
