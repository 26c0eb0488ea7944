// A base model from the hub in plans and runs: only a run downloads, its bytes decide what is reused, its commit is on record.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test, vi } from "vitest"
import { baseModel, pipeline } from "#src/engine/define.ts"
import type { BaseOptions } from "#src/engine/bases.ts"
import { type Files, type HubServer, repository, startHub } from "../store/hubServer.ts"
import { type Bench, type Body, counting } from "./stages.ts"
import { bench } from "./support.ts"

const download: BaseOptions["download"] = (work) => work({ onEvent: () => {} })

/** look (reads the base) -> after; `alone` reads nothing. */
const reading = ({ add }: Bench, path: string) => {
  const body: Body = async (context) => {
    writeFileSync(context.output("out"), readFileSync(join(context.inputs["base"]?.path ?? "", "config.json")))
  }
  return pipeline("reading", () => {
    const base = baseModel(path)
    const look = add(counting("look", { base: "base" }, body), { base: base as never })
    add(counting("after", { a: "text" }), { a: look })
    add(counting("alone", {}), {}, { text: "alone" })
  })
}

const setUp = async (): Promise<{ readonly b: Bench; readonly server: HubServer }> => {
  const server = await startHub()
  vi.stubEnv("HF_ENDPOINT", server.endpoint)
  vi.stubEnv("HF_HUB_OFFLINE", "")
  vi.stubEnv("ANNEAL_HUB_CACHE", "")
  return { b: bench(), server }
}

const decisions = ({ plan }: { readonly plan: readonly { readonly id: string; readonly decision: string }[] }): readonly string[] =>
  plan.map(({ id, decision }) => `${id} ${decision}`)

const withConfig = (text: string): Files => ({ ...repository(), "config.json": Buffer.from(text) })

test("a plan asks and downloads nothing, a run downloads first, then plans are exact with and without the hub", async () => {
  const { b, server } = await setUp()
  const commit = server.push("org/name", repository())
  const planned = await b.prepare(reading(b, "hf:org/name"))
  expect(decisions(planned)).toEqual(["look run", "after run", "alone run"])
  expect(planned.plan[0]).toMatchObject({ key: null, reason: { code: "never-ran" } })
  expect(planned.warnings).toEqual([
    `base: hf:org/name is not downloaded yet (commit ${commit.slice(0, 7)}, 100.0 kB): a run does that first`
  ])
  expect(readdirSync(b.root)).toEqual(["pipelines"])

  expect(await b.run(reading(b, "hf:org/name"), { download })).toMatchObject({ outcome: "done" })
  expect(b.ran()).toEqual(expect.arrayContaining(["look", "after", "alone"]))
  const started = b.events.find((event) => event._tag === "RunStarted")
  expect(started?.sources).toMatchObject({ base: { path: "hf:org/name", commit, digest: expect.stringMatching(/^sha256:/) as string } })
  const reused = ["look reuse", "after reuse", "alone reuse"]
  expect(decisions(await b.prepare(reading(b, "hf:org/name")))).toEqual(reused)
  // The same bytes in a folder of one's own are the same base.
  const own = join(b.root, "own")
  mkdirSync(own)
  for (const name of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
    writeFileSync(join(own, name), repository()[name] as Buffer)
  expect(decisions(await b.prepare(reading(b, "own")))).toEqual(reused)

  await server.close()
  const offline = await b.prepare(reading(b, "hf:org/name@main"))
  expect(decisions(offline)).toEqual(reused)
  expect(offline.warnings.join()).toContain(`using commit ${commit.slice(0, 7)}`)
  const pinned = await b.prepare(reading(b, `hf:org/name@${commit}`))
  expect([decisions(pinned), pinned.warnings]).toEqual([reused, []])
  await expect(b.prepare(reading(b, "hf:org/other"))).rejects.toMatchObject({ _tag: "EnvironmentError", exitCode: 5 })
})

test("a branch that moves: to the same bytes nothing runs again, to others what reads them does", async () => {
  const { b, server } = await setUp()
  const first = server.push("org/name", withConfig("one"))
  await b.run(reading(b, "hf:org/name"), { download })
  b.ran()
  server.push("org/name", { ...withConfig("one"), "README.md": Buffer.from("a word more") })
  const moved = await b.prepare(reading(b, "hf:org/name"))
  expect(decisions(moved)).toEqual(["look maybe", "after maybe", "alone reuse"])
  expect(moved.plan[0]?.reason?.text).toBe("waits for base, not downloaded yet: reruns only if its bytes differ")
  await b.run(reading(b, "hf:org/name"), { download })
  expect(b.ran()).toEqual([])

  const third = server.push("org/name", withConfig("three"))
  await b.run(reading(b, "hf:org/name"), { download })
  expect(b.ran()).toEqual(["look", "after"])
  expect(b.events.find((event) => event._tag === "StageStarted" && event.reason?.field === "input.base")).toBeDefined()
  expect((await b.prepare(reading(b, "hf:org/name"))).origins).toEqual({ base: { path: "hf:org/name", commit: third } })
  expect(decisions(await b.prepare(reading(b, `hf:org/name@${first}`)))).toEqual(["look reuse", "after reuse", "alone reuse"])
})

test("a stage that does not hang on the base asks nothing of the hub; --only waits for what a download decides", async () => {
  const { b, server } = await setUp()
  server.push("org/name", repository())
  expect(decisions(await b.prepare(reading(b, "hf:org/name"), { targets: ["alone"] }))).toEqual(["alone run"])
  expect(server.requests).toEqual([])
  expect(await b.run(reading(b, "hf:org/name"), { targets: ["alone"], download })).toMatchObject({ outcome: "done" })
  expect(existsSync(join(b.root, "artifacts/hub"))).toBe(false)
  expect(decisions(await b.prepare(reading(b, "hf:org/name"), { only: ["after"] }))).toEqual(["after run"])
})

test("a copy that was changed is not used", async () => {
  const { b, server } = await setUp()
  const commit = server.push("org/name", repository())
  await b.run(reading(b, "hf:org/name"), { download })
  writeFileSync(join(b.root, "artifacts/hub/org--name", commit, "config.json"), "{}")
  await expect(b.prepare(reading(b, "hf:org/name"))).rejects.toMatchObject({
    _tag: "DataError",
    hint: expect.stringContaining("remove that folder") as string
  })
})

test("ANNEAL_HUB_CACHE keeps models in a folder of its own; a wrong name is refused where it is written or set", async () => {
  const { b, server } = await setUp()
  vi.stubEnv("ANNEAL_HUB_CACHE", join(b.root, "models"))
  const commit = server.push("org/name", repository())
  await b.run(reading(b, "hf:org/name"), { download })
  expect(existsSync(join(b.root, "models/org--name", commit, "model.safetensors"))).toBe(true)
  vi.unstubAllEnvs()
  expect(() => reading(b, "hf:name")).toThrow(/not the name of a model/)
  await expect(b.prepare(reading(b, "own"), { set: ["base.path=hf:name"] })).rejects.toMatchObject({
    _tag: "DefinitionError",
    where: "source base: path"
  })
})
