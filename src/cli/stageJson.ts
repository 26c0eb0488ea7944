// A run and its stages as JSON: the one shape that show, compare and scripts read. Durations in seconds, whole digests, no NaN.
import type { RunView, StageView, Values } from "#src/domain/RunView.ts"
import { outcomeOf } from "./context.ts"

/** Values as they are (null for what was not finite), and the names of those. */
export const figuresJson = (values: Values) => ({
  metrics: values,
  nonFinite: Object.keys(values).filter((name) => values[name] === null)
})

export const stageJson = (stage: StageView) => ({
  id: stage.id,
  kind: stage.kind,
  needs: stage.needs,
  outcome: stage.state,
  key: stage.key,
  reason: stage.reason,
  auto: stage.auto,
  producedBy: stage.producedBy,
  outputs: stage.outputs,
  ...figuresJson(stage.metrics),
  summary: stage.summary,
  alerts: stage.alerts,
  computeSeconds: stage.computeMs / 1000,
  writeSeconds: stage.writeMs / 1000,
  error: stage.error
})

export const runJson = (view: RunView) => ({
  run: view.run,
  pipeline: view.pipeline,
  objective: view.objective,
  outcome: outcomeOf(view),
  startedAt: view.startedAt,
  endedAt: view.endedAt,
  git: view.git,
  overrides: view.overrides,
  config: view.config,
  sources: view.sources,
  stages: view.stages.map(stageJson),
  registered: view.registered,
  aliases: view.aliases,
  savedSeconds: view.savedMs / 1000
})
