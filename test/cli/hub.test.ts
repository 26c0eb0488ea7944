// A base model from a hub through the command line: all stages over it, a moved branch that `why` names, and Ctrl-C in a download.
import { existsSync, readFileSync, renameSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { lines } from "#src/cli/download.ts"
import { hubName, type HubName } from "#src/domain/hubName.ts"
import { filesOf, startHub } from "../store/hubServer.ts"
import { makeRoad } from "./real.ts"

const base = ["--set", "base.path=hf:org/tiny"]

test("plan, run, reuse, a branch that moved, why", async () => {
  const { annealWith, root } = await makeRoad()
  const server = await startHub()
  const files = filesOf(join(root, "base"))
  const first = server.push("org/tiny", files)
  renameSync(join(root, "base"), join(root, "elsewhere"))
  const anneal = (...args: readonly string[]) => annealWith({ HF_ENDPOINT: server.endpoint, HF_TOKEN: "hf_test" }, ...args)

  const planned = await anneal("plan", "road", ...base)
  expect(planned.stderr).toMatch(new RegExp(`! base: hf:org/tiny is not downloaded yet \\(commit ${first.slice(0, 7)}, `))
  const asked = await anneal("plan", "road", ...base, "--memory", "--set", "train.batchSize=auto")
  expect(asked.stdout).toContain("train.batchSize (auto: known once the base is downloaded), train.device cpu (auto)")
  expect(asked.stdout).toContain(
    "train  cannot be told: the base is not downloaded yet, so its shapes are not known\n  try: a run downloads it first"
  )
  expect(existsSync(join(root, "artifacts"))).toBe(false)

  const run = await anneal("run", "road", ...base, "--name", "first")
  expect(run).toMatchObject({ code: 0 })
  expect(run.stderr).toMatch(/^downloading hf:org\/tiny \(commit [0-9a-f]{7}\): 4 files, [\d.]+ kB\ndownloaded hf:org\/tiny: /m)
  expect(server.requests.every((line) => line.endsWith("Bearer hf_test"))).toBe(true)
  const ask = ["generate", "tiny@1", "--prompt", "say 3 twice", "--max-new-tokens", "2"]
  expect(await anneal(...ask)).toMatchObject({ code: 0 })
  // Other tools find the base by its name on the hub, anneal by the commit's folder wherever models are kept.
  expect(await anneal("export", "model", "tiny@1", "out")).toMatchObject({ code: 0 })
  const exported = (name: string): object => JSON.parse(readFileSync(join(root, "out", name), "utf8")) as object
  expect(exported("adapter_config.json")).toMatchObject({ base_model_name_or_path: "org/tiny", revision: first })
  expect(exported("anneal.json")).toMatchObject({ base: { hub: { repo: "org/tiny", commit: first } } })
  expect(readFileSync(join(root, "out/README.md"), "utf8")).toContain(`from_pretrained("org/tiny", revision="${first}")`)
  renameSync(join(root, "artifacts/hub"), join(root, "models"))
  expect(await anneal(...ask)).toMatchObject({ code: 1, stderr: expect.stringContaining(`gone: hf:org/tiny@${first}`) as string })
  const shared = { HF_ENDPOINT: server.endpoint, ANNEAL_HUB_CACHE: "models" }
  expect(await annealWith(shared, ...ask)).toMatchObject({ code: 0 })
  expect((await annealWith(shared, "plan", "road", ...base)).stdout).toContain("8 reuse")
  renameSync(join(root, "models"), join(root, "artifacts/hub"))
  // A folder with the same files gives the same results.
  expect((await anneal("plan", "road", "--set", "base.path=elsewhere")).stdout).toContain("8 reuse")

  const config = JSON.parse((files["config.json"] as Buffer).toString()) as object
  const second = server.push("org/tiny", {
    ...files,
    "config.json": Buffer.from(JSON.stringify({ ...config, transformers_version: "moved" }))
  })
  const names = `base: hf:org/tiny, commit ${first.slice(0, 7)} -> ${second.slice(0, 7)}`
  const before = await anneal("why", "road", "train", ...base)
  expect(before.stdout).toContain("train: maybe, waits for base, not downloaded yet")
  expect(before.stdout).toContain(names)
  expect(await anneal("run", "road", "train", ...base, "--name", "second", "--ui", "quiet")).toMatchObject({
    code: 0,
    stdout: "",
    stderr: ""
  })
  const after = await anneal("why", "second", "train")
  expect(after.stdout).toContain("input base changed: ")
  expect(after.stdout).toContain(names)

  await server.close()
  const offline = await anneal("plan", "road", "train", ...base)
  expect(offline).toMatchObject({ code: 0 })
  expect(offline.stderr).toContain(`using commit ${second.slice(0, 7)}`)
  expect(await anneal("plan", "road", "--set", `base.path=hf:org/tiny@${first}`)).toMatchObject({ code: 0, stderr: "" })
  const other = await anneal("run", "road", "--set", "base.path=hf:org/other")
  expect(other).toMatchObject({ code: 5 })
  expect(other.stderr).toMatch(/cannot reach the Hugging Face hub for hf:org\/other[\s\S]*HF_ENDPOINT/)
})

test("Ctrl-C in a download ends with 130, and the same command goes on", async () => {
  const { annealWith, startWith, root } = await makeRoad()
  const server = await startHub()
  const files = filesOf(join(root, "base"))
  server.push("org/tiny", files)
  const env = { HF_ENDPOINT: server.endpoint }
  let asked = (): void => {}
  const reached = new Promise<void>((done) => (asked = done))
  server.onFile = (name) => {
    if (name !== "model.safetensors") return Promise.resolve()
    asked()
    return new Promise(() => {})
  }
  const stopped = startWith(env, "run", "road", "format", ...base)
  await reached
  stopped.process.kill("SIGINT")
  const { code, stderr } = await stopped.result
  expect(code).toBe(130)
  expect(stderr).toContain("the download of hf:org/tiny was stopped")
  server.onFile = async () => {}
  server.requests.length = 0
  const again = await annealWith(env, "run", "road", "format", ...base)
  expect(again).toMatchObject({ code: 0 })
  expect(again.stderr).toContain("of it here already")
  expect(server.requests.filter((line) => line.includes("/resolve/"))).toHaveLength(1)
})

test("a model that may not be read: what to do, exit 2", async () => {
  const { annealWith } = await makeRoad()
  const server = await startHub()
  server.refuse({ status: 403, code: "GatedRepo" })
  const refused = await annealWith({ HF_ENDPOINT: server.endpoint }, "plan", "road", ...base)
  expect(refused).toMatchObject({ code: 2 })
  expect(refused.stderr).toMatch(/hf:org\/tiny cannot be read: it is gated[\s\S]*accept the licence[\s\S]*HF_TOKEN/)
})

test("the lines of a long download: a few, with speed and time left", () => {
  const written: string[] = []
  let now = 0
  const name = hubName("hf:org/big@v1") as HubName
  const tell = lines(
    (line) => void written.push(line),
    () => now
  )
  tell({ _tag: "Begin", name, commit: "1a2b3c4".padEnd(40, "0"), files: 5, done: 1e9, total: 5e9 })
  for (let second = 1; second <= 40; second++) {
    now = second * 1000
    tell({ _tag: "Bytes", file: "model.safetensors", done: 1e9 + second * 1e8, total: 5e9 })
  }
  tell({ _tag: "Done", name, total: 5e9 })
  expect(written[0]).toBe("downloading hf:org/big@v1 (commit 1a2b3c4): 5 files, 5.0 GB, 1.0 GB of it here already")
  expect(written[1]).toBe("  1.5 GB of 5.0 GB (30 %)  100.0 MB/s, 35s left  model.safetensors")
  expect(written).toHaveLength(10)
  expect(written.at(-1)).toBe("downloaded hf:org/big@v1: 5.0 GB in 40s")
})
