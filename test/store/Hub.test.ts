// Base models from the hub, against a hub on this machine: what is downloaded, what a broken connection costs, what is refused.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import type { AnnealError } from "#src/domain/Errors.ts"
import { hubName, type HubName } from "#src/domain/hubName.ts"
import { type DownloadEvent, type Hub, openHub } from "#src/store/Hub.ts"
import { openSources } from "#src/store/Sources.ts"
import type { WorkspacePaths } from "#src/store/Workspace.ts"
import { type HubServer, repository, startHub } from "./hubServer.ts"
import { temporaryStore } from "./support.ts"

interface Bench {
  readonly server: HubServer
  readonly store: WorkspacePaths
  readonly hub: Hub
  readonly events: DownloadEvent[]
  /** Downloads what the name means now; its folder. Stops when bytes of the file `stopAt` arrive. */
  readonly get: (name?: HubName, stop?: AbortController, stopAt?: string) => Promise<string>
}

const main = hubName("hf:org/name") as HubName

const bench = async (env: Readonly<Record<string, string>> = {}): Promise<Bench> => {
  const server = await startHub()
  const store = temporaryStore()
  const hub = openHub(store, { HF_ENDPOINT: server.endpoint, ...env }, 1)
  const events: DownloadEvent[] = []
  const get: Bench["get"] = async (name = main, stop, stopAt) => {
    const { commit, folder } = await hub.locate(name)
    const onEvent = (event: DownloadEvent): void => {
      events.push(event)
      if (event._tag === "Bytes" && event.file === stopAt) stop?.abort()
    }
    await hub.download(name, commit, { signal: stop?.signal, onEvent })
    hub.remember(name, commit)
    return folder
  }
  return { server, store, hub, events, get }
}

const failureOf = (work: Promise<unknown>): Promise<AnnealError> =>
  work.then(
    () => Promise.reject(new Error("nothing was thrown")),
    (thrown: AnnealError) => thrown
  )

const needed = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]

test("only the files of a model, as real files, whose digest is that of a folder with the same bytes", async () => {
  const { server, store, hub, events, get } = await bench()
  const commit = server.push("org/name", repository())
  expect(await hub.locate(main)).toMatchObject({ commit, present: false })
  expect(existsSync(store.artifacts)).toBe(false)
  expect(await hub.sizeOf(main, commit)).toBe(100_000 + 22 + 17 + 2)
  const folder = await get()
  expect(folder).toBe(join(store.artifacts, "hub", "org--name", commit))
  expect(readdirSync(folder)).toEqual(needed)
  expect(readdirSync(folder).every((name) => lstatSync(join(folder, name)).isFile())).toBe(true)
  expect(readdirSync(join(folder, "..")).toSorted()).toEqual([commit, `${commit}.json`, "refs"].toSorted())
  expect(events.map((event) => event._tag)).toEqual(expect.arrayContaining(["Begin", "Bytes", "Done"]))
  expect(events.findLast((event) => event._tag === "Bytes")).toMatchObject({ done: 100_041, total: 100_041 })

  const own = join(store.root, "own")
  mkdirSync(own)
  for (const name of needed) writeFileSync(join(own, name), repository()[name] as Buffer)
  const sources = openSources(store)
  const found = await sources.digest(folder)
  expect(found.digest).toBe((await sources.digest(own)).digest)
  expect(() => hub.check(main, { commit, folder, present: true }, found)).not.toThrow()
  writeFileSync(join(folder, "config.json"), "{}")
  const changed = await sources.digest(folder)
  expect(() => hub.check(main, { commit, folder, present: true }, changed)).toThrow(/not as it was downloaded/)
})

test("the shards that the index names, and no others", async () => {
  const { server, get } = await bench()
  const { "model.safetensors": weights = Buffer.alloc(0), ...rest } = repository()
  const index = { weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" } }
  const shards = { "model-00001-of-00002.safetensors": weights, "model-00002-of-00002.safetensors": Buffer.from("two") }
  const files = { ...rest, ...shards, "consolidated.safetensors": weights }
  server.push("org/name", { ...files, "model.safetensors.index.json": Buffer.from(JSON.stringify(index)) })
  expect(readdirSync(await get())).toEqual(
    [...needed.filter((name) => name !== "model.safetensors"), ...Object.keys(shards), "model.safetensors.index.json"].toSorted()
  )
  for (const shard of ["../../escape.safetensors", "/etc/x.safetensors", "model.bin"]) {
    server.push("org/name", { ...files, "model.safetensors.index.json": Buffer.from(JSON.stringify({ weight_map: { a: shard } })) })
    expect(await failureOf(get())).toMatchObject({ _tag: "DataError", message: expect.stringContaining(shard) as string })
  }
  server.push("org/name", { "config.json": Buffer.from("{}"), "pytorch_model.bin": weights })
  expect(await failureOf(get())).toMatchObject({ _tag: "DataError", why: expect.stringContaining("pytorch_model.bin") as string })
})

const rangesOf = ({ requests }: HubServer): readonly string[] =>
  requests.filter((line) => line.includes("/model.safetensors")).map((line) => line.split(" ")[2] ?? "")

test("a connection that breaks is made again from where it broke", async () => {
  const { server, get } = await bench()
  server.push("org/name", repository())
  server.cut("model.safetensors", 30_000, 2)
  const folder = await get()
  expect(readFileSync(join(folder, "model.safetensors"))).toEqual(repository()["model.safetensors"])
  expect(rangesOf(server)).toEqual(["", "bytes=30000-", "bytes=60000-"])
})

test("one that breaks again and again without a byte is given up; the next download goes on from the part", async () => {
  const { server, get, events } = await bench()
  const commit = server.push("org/name", repository())
  server.cut("model.safetensors", 40_000, 1)
  server.onFile = async (name) => {
    if (name === "model.safetensors") server.cut(name, rangesOf(server).length === 1 ? 40_000 : 0, 1)
  }
  expect(await failureOf(get())).toMatchObject({ _tag: "EnvironmentError", why: expect.stringContaining("at byte 40000") as string })
  server.onFile = async () => {}
  server.cut("model.safetensors", 0, 0)
  server.requests.length = 0
  const folder = await get()
  expect(folder).toContain(commit)
  expect(readFileSync(join(folder, "model.safetensors"))).toEqual(repository()["model.safetensors"])
  // What was whole is not asked for again.
  expect(server.requests.filter((line) => line.includes("/resolve/"))).toHaveLength(1)
  expect(rangesOf(server)).toEqual(["bytes=40000-"])
  expect(events.findLast((event) => event._tag === "Begin")).toMatchObject({ done: 40_041, total: 100_041 })
})

test("a server without ranges: the file is taken from its start", async () => {
  const { server, get } = await bench()
  server.push("org/name", repository())
  server.withoutRanges()
  server.cut("model.safetensors", 30_000, 1)
  expect(readFileSync(join(await get(), "model.safetensors"))).toEqual(repository()["model.safetensors"])
})

test.each(["model.safetensors", "tokenizer.json"])("%s with a wrong byte is refused and its part removed", async (file) => {
  const { server, store, get } = await bench()
  const commit = server.push("org/name", repository())
  server.damage(file, true)
  const error = await failureOf(get())
  expect(error).toMatchObject({ _tag: "DataError", message: `${file} of hf:org/name did not arrive as the hub describes it` })
  const unfinished = join(store.hub, "org--name", `.${commit}`)
  expect(readdirSync(unfinished).filter((name) => name.startsWith(file))).toEqual([])
  expect(existsSync(join(store.hub, "org--name", commit))).toBe(false)
  server.damage(file, false)
  expect(readdirSync(await get())).toEqual(needed)
})

test("stopped in the middle: an InterruptedError, and the next download goes on", async () => {
  const { server, get, events } = await bench()
  server.push("org/name", repository())
  server.cut("model.safetensors", 50_000, 1)
  const stopped = await failureOf(get(main, new AbortController(), "model.safetensors"))
  expect(stopped).toMatchObject({ _tag: "InterruptedError", exitCode: 130 })
  server.cut("model.safetensors", 0, 0)
  expect(readdirSync(await get())).toEqual(needed)
  const again = events.findLast((event) => event._tag === "Begin")
  expect(again?.done).toBeGreaterThan(41)
  expect(rangesOf(server).at(-1)).toBe(`bytes=${(again?.done ?? 0) - 41}-`)
})

test("two at once: one downloads, the other waits and finds it", async () => {
  const { server, get, events } = await bench()
  server.push("org/name", repository())
  const [one, two] = await Promise.all([get(), get()])
  expect(one).toBe(two)
  expect(rangesOf(server)).toHaveLength(1)
  expect(events.filter((event) => event._tag === "Waiting")).toHaveLength(1)
})

test("the token goes to the hub; refusals say what to do", async () => {
  const { server, hub, get } = await bench({ HUGGING_FACE_HUB_TOKEN: "hf_old", HF_TOKEN: "hf_secret" })
  server.push("org/name", repository())
  await get()
  expect(server.requests.every((line) => line.endsWith("Bearer hf_secret"))).toBe(true)
  for (const [status, code] of [
    [401, "RepoNotFound"],
    [403, "GatedRepo"],
    [404, "RepoNotFound"]
  ] as const) {
    server.refuse({ status, code })
    const error = await failureOf(hub.locate(main))
    expect(error).toMatchObject({ _tag: "DefinitionError", where: `${server.endpoint}/org/name` })
    expect(error.message).toMatch(code === "GatedRepo" ? /is gated$/ : /gated, private or misspelt/)
    expect(error.why).toContain(String(status))
    expect(error.hint).toMatch(/licence at http.*HF_TOKEN/)
  }
  server.refuse(undefined)
  const wrong = hubName("hf:org/name@nope") as HubName
  expect(await failureOf(hub.locate(wrong))).toMatchObject({ message: "org/name has no revision nope" })
})

test("large files lie elsewhere: the range is asked for there, the token stays here", async () => {
  const { server, get } = await bench({ HF_TOKEN: "any-text" })
  const other = await startHub()
  server.push("org/name", repository())
  other.push("org/name", repository())
  server.sendTo(other.endpoint)
  other.cut("model.safetensors", 30_000, 1)
  expect(readFileSync(join(await get(), "model.safetensors"))).toEqual(repository()["model.safetensors"])
  expect(server.requests.at(-1)).toMatch(/bytes=30000- Bearer any-text$/)
  expect(other.requests.map((line) => line.split(" ").slice(2).join(" "))).toEqual(["", "bytes=30000-"])
})

test("a passing trouble of the hub is tried again; one that stays counts as unreachable", async () => {
  const { server, hub } = await bench()
  const commit = server.push("org/name", repository())
  server.refuse({ status: 503 })
  expect(await failureOf(hub.locate(main))).toMatchObject({ _tag: "EnvironmentError", why: expect.stringContaining("503") as string })
  expect(server.requests).toHaveLength(4)
  setTimeout(() => server.refuse(undefined), 2)
  expect((await hub.locate(main)).commit).toBe(commit)
})

test("without the hub: the last known commit with a warning; a pinned one without; an error where there is no copy", async () => {
  const { server, store, hub, get } = await bench()
  const commit = server.push("org/name", repository())
  const folder = await get()
  server.requests.length = 0
  const pinned = hubName(`hf:org/name@${commit}`) as HubName
  expect(await hub.locate(pinned)).toEqual({ commit, folder, present: true })
  expect(server.requests).toEqual([])
  await server.close()
  expect(await hub.locate(pinned)).toEqual({ commit, folder, present: true })
  const last = await hub.locate(main)
  expect(last).toMatchObject({ commit, folder, present: true })
  expect(last.warning).toMatch(/cannot reach .*\((ECONNREFUSED|UND_ERR_SOCKET).*using commit [0-9a-f]{7}, which it was on \d{4}-/)
  const offline = openHub(store, { HF_HUB_OFFLINE: "1" }, 1)
  expect((await offline.locate(main)).warning).toContain("HF_HUB_OFFLINE")
  rmSync(folder, { recursive: true })
  const error = await failureOf(hub.locate(main))
  expect(error).toMatchObject({ _tag: "EnvironmentError", where: server.endpoint, exitCode: 5 })
  expect(error.hint).toMatch(/HF_ENDPOINT.*download the model elsewhere.*baseModel\(/)
})

test("a copy in a cache that cannot be written is used as it is", async () => {
  const { server, store, hub, get } = await bench()
  const commit = server.push("org/name", repository())
  const folder = await get()
  // A file where the folder of notes would be: nobody can write there, not even root.
  rmSync(join(store.hub, "org--name/refs"), { recursive: true })
  writeFileSync(join(store.hub, "org--name/refs"), "")
  hub.remember(main, commit)
  expect(await hub.locate(main)).toEqual({ commit, folder, present: true })
})

test("names: what is taken, and what is refused before anything is asked", () => {
  expect(hubName("models/local")).toBeUndefined()
  expect(hubName("hf:org/name.v1@refs/pr/1")).toMatchObject({ repo: "org/name.v1", revision: "refs/pr/1", pinned: false })
  expect(hubName(`hf:org/name@${"a".repeat(40)}`)).toMatchObject({ pinned: true })
  for (const wrong of [
    "hf:",
    "hf:name",
    "hf:../name",
    "hf:org/..",
    "hf:org/name/file",
    "hf:org/na--me",
    "hf:org/name@",
    "hf:org/name@../x",
    "hf:/org/name"
  ]) {
    expect(() => hubName(wrong), wrong).toThrow(/is not the name of a model/)
  }
  expect(() => openHub(temporaryStore(), { HF_ENDPOINT: "huggingface.co" })).toThrow(/HF_ENDPOINT/)
})
