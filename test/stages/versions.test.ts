// A builtin stage is keyed by its `version` alone, so a change of its sources must not pass unseen: see CONTRIBUTING, "Change a stage".
import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { currentVersions, recordPath, type RecordedVersions } from "./sources.ts"

const recorded = JSON.parse(readFileSync(recordPath, "utf8")) as RecordedVersions

test.each(Object.entries(currentVersions()))("the sources of %s are those recorded for its version", (kind, now) => {
  const { version, digest } = recorded[kind] ?? { version: 0, digest: "" }
  expect(
    { version, digest },
    `the sources of stage ${kind} changed: raise its version where outputs change, then run: npm run versions -- --note "why"`
  ).toEqual(now)
})
