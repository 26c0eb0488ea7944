// Every builtin stage kind by name: the child process and docs/reference look them up here.
import type { StageKind } from "#src/domain/Pipeline.ts"
import { augmentKind } from "./augment/stage.ts"
import { evaluateKind } from "./evaluate/stage.ts"
import { formatKind } from "./format/stage.ts"
import { ingestKind } from "./ingest/stage.ts"
import { registerKind } from "./register/stage.ts"
import { splitKind } from "./split/stage.ts"
import { trainKind } from "./train/stage.ts"
import { validateKind } from "./validate/stage.ts"

export const kinds: Readonly<Record<string, StageKind>> = {
  ingest: ingestKind,
  validate: validateKind,
  augment: augmentKind,
  split: splitKind,
  format: formatKind,
  train: trainKind,
  evaluate: evaluateKind,
  register: registerKind
}
