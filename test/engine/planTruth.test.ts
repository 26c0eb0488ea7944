// A plan is exact: over a random history of edits, losses and forced stages, a run executes every `run`, no `reuse`, and a
// `maybe` exactly when what it reads turned out different.
import { rmSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import type { RunEvent } from "#src/domain/RunEvent.ts"
import { objectPath } from "#src/store/Objects.ts"
import { pathsOf } from "#src/store/Workspace.ts"
import { diamond, write } from "./stages.ts"
import { bench } from "./support.ts"

/** A small generator with a seed (mulberry32), so that a failure can be repeated. */
const randomOf = (seed: number) => (below: number) => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) % below
}

type Ended = Extract<RunEvent, { readonly _tag: "StageEnded" }>

test.each([1, 2, 3])("history %i", async (seed) => {
  const random = randomOf(seed)
  const b = bench()
  const store = pathsOf(b.root, join(b.root, "artifacts"))
  const ids = ["read", "left", "right", "join"]
  /** Keys whose results are stored and intact. */
  const stored = new Set<string>()
  const set = { left: 0, right: 0 }
  for (let step = 0; step < 8; step++) {
    const force: string[] = []
    switch (random(5)) {
      case 0:
        write(b.root, "in.txt", `rows ${random(2)}`)
        break
      case 1:
        set.left = random(2)
        break
      case 2:
        set.right = random(2)
        break
      case 3:
        force.push(ids[random(4)] ?? "")
        break
      default: {
        const entries = await b.catalog((catalog) => catalog.entries())
        const digest = entries[random(Math.max(1, entries.length))]?.outputs[0]?.digest
        if (digest === undefined) break
        rmSync(objectPath(store, digest), { force: true })
        for (const entry of entries) if (entry.outputs[0]?.digest === digest) stored.delete(entry.key)
      }
    }
    b.events.length = 0
    const { plan, outcome } = await b.run(diamond(b), { force, set: [`left.text=l${set.left}`, `right.text=r${set.right}`] })
    expect(outcome).toBe("done")
    const ended = b.events.filter((event): event is Ended => event._tag === "StageEnded")
    const ran = b.ran()
    for (const { id, decision, key } of plan) {
      const final = ended.find((event) => event.stage === id)?.key ?? ""
      if (key !== null) expect(final).toBe(key)
      const executed = decision === "run" || (decision === "maybe" && !stored.has(final))
      expect([step, id, decision, ran.includes(id)]).toEqual([step, id, decision, executed])
    }
    for (const { key } of ended) stored.add(key ?? "")
  }
})
