// A small Hugging Face hub on 127.0.0.1: the requests that the client makes, with commits, LFS files, pages, ranges and faults.
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { onTestFinished } from "vitest"

export type Files = Readonly<Record<string, Buffer>>

export interface HubServer {
  readonly endpoint: string
  /** "GET /path range authorization" of every request so far. */
  readonly requests: string[]
  /** Makes a commit of a repository and moves a branch to it. */
  readonly push: (repo: string, files: Files, branch?: string) => string
  /** Breaks the connection after so many bytes of this file, as often as it says. */
  readonly cut: (file: string, after: number, times: number) => void
  /** Changes a byte of this file on its way. */
  readonly damage: (file: string, on: boolean) => void
  /** Answers every request with this. */
  readonly refuse: (answer: { readonly status: number; readonly code?: string } | undefined) => void
  /** Answers ranges with the whole file. */
  readonly withoutRanges: () => void
  /** Sends those who ask for a large file to another server, as the hub does. */
  readonly sendTo: (endpoint: string) => void
  /** Called before a file is sent. */
  onFile: (file: string) => Promise<void>
  readonly close: () => Promise<void>
}

const hash = (algorithm: string, ...parts: readonly (string | Buffer)[]): string =>
  parts.reduce((sum, part) => sum.update(part), createHash(algorithm)).digest("hex")

const entryOf = (path: string, bytes: Buffer): object =>
  path.endsWith(".safetensors") || path.endsWith(".bin")
    ? {
        type: "file",
        path,
        size: bytes.length,
        oid: hash("sha1", "pointer"),
        lfs: { oid: hash("sha256", bytes), size: bytes.length, pointerSize: 130 }
      }
    : { type: "file", path, size: bytes.length, oid: hash("sha1", `blob ${bytes.length}\0`, bytes) }

/** Entries on one page of a listing: few, so that every listing has several. */
const pageSize = 2

export const startHub = async (): Promise<HubServer> => {
  const commits = new Map<string, Files>()
  const branches = new Map<string, string>()
  const cuts = new Map<string, { after: number; times: number }>()
  const damaged = new Set<string>()
  const requests: string[] = []
  let refusal: { readonly status: number; readonly code?: string } | undefined
  let ranges = true
  let elsewhere: string | undefined
  let made = 0

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host}`)
    requests.push([request.method, url.pathname, request.headers.range ?? "", request.headers.authorization ?? ""].join(" ").trim())
    const fail = (status: number, code: string): void => {
      response.writeHead(status, { "x-error-code": code, "x-error-message": code }).end()
    }
    if (refusal !== undefined) return fail(refusal.status, refusal.code ?? "")
    const path = decodeURIComponent(url.pathname)
    const [, info, tree, file] = [
      null,
      /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(path),
      /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)$/.exec(path),
      /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path)
    ]
    const [, repo = "", revision = "", name = ""] = info ?? tree ?? file ?? []
    const commit = branches.get(`${repo}@${revision}`) ?? revision
    const files = commits.get(`${repo}@${commit}`)
    if (files === undefined) {
      const known = [...commits.keys()].some((key) => key.startsWith(`${repo}@`))
      return fail(known ? 404 : 401, known ? "RevisionNotFound" : "RepoNotFound")
    }
    const json = { "content-type": "application/json", "x-repo-commit": commit }
    if (info !== null) return void response.writeHead(200, json).end(JSON.stringify({ _id: "1", id: repo, sha: commit }))
    if (tree !== null) {
      const from = Number(url.searchParams.get("cursor") ?? 0)
      const all = Object.entries(files).map(([path, bytes]) => entryOf(path, bytes))
      const next = new URL(url)
      next.searchParams.set("cursor", String(from + pageSize))
      const link = from + pageSize < all.length ? { link: `<${next.href}>; rel="next"` } : {}
      return void response.writeHead(200, { ...json, ...link }).end(JSON.stringify(all.slice(from, from + pageSize)))
    }
    const whole = files[name]
    if (whole === undefined) return fail(404, "EntryNotFound")
    if (elsewhere !== undefined && name.endsWith(".safetensors")) {
      return void response.writeHead(302, { location: `${elsewhere}${url.pathname}`, "x-repo-commit": commit }).end()
    }
    await hub.onFile(name)
    const bytes = damaged.has(name) ? Buffer.concat([Buffer.from([(whole[0] ?? 0) ^ 1]), whole.subarray(1)]) : whole
    const start = ranges ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0) : 0
    const headers = { etag: `"${hash("sha256", whole)}"`, "x-repo-commit": commit, "content-length": bytes.length - start }
    if (start >= bytes.length && start > 0) return void response.writeHead(416).end()
    const range = start > 0 ? { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}
    response.writeHead(start > 0 ? 206 : 200, { ...headers, ...range })
    const cut = cuts.get(name)
    if (cut === undefined || cut.times === 0) return void response.end(bytes.subarray(start))
    cut.times--
    response.write(bytes.subarray(start, start + cut.after), () => setTimeout(() => response.destroy(), 20))
  }

  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const close = (): Promise<void> =>
    new Promise((done) => {
      server.closeAllConnections()
      server.close(() => done())
    })
  onTestFinished(close)
  const hub: HubServer = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    push: (repo, files, branch = "main") => {
      const commit = hash("sha1", repo, String(made++))
      commits.set(`${repo}@${commit}`, files)
      branches.set(`${repo}@${branch}`, commit)
      return commit
    },
    cut: (file, after, times) => void cuts.set(file, { after, times }),
    damage: (file, on) => void (on ? damaged.add(file) : damaged.delete(file)),
    refuse: (answer) => void (refusal = answer),
    withoutRanges: () => void (ranges = false),
    sendTo: (endpoint) => void (elsewhere = endpoint),
    onFile: async () => {},
    close
  }
  return hub
}

/** The files of a folder, for `push`. */
export const filesOf = (folder: string): Files =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]))

/** A repository as they are: one model among files that nobody here needs. */
export const repository = (weights: Buffer = Buffer.alloc(100_000, "w")): Files => ({
  ".gitattributes": Buffer.from("*.safetensors filter=lfs"),
  "README.md": Buffer.from("# a model"),
  "config.json": Buffer.from('{"model_type":"llama"}'),
  "model.safetensors": weights,
  "onnx.onnx": Buffer.from("onnx"),
  "pytorch_model.bin": Buffer.alloc(1000, "b"),
  "tokenizer.json": Buffer.from('{"a":"tokenizer"}'),
  "tokenizer_config.json": Buffer.from("{}")
})
