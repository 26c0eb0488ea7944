// Requests to the Hugging Face hub: the token, time limits, a few attempts, and every refusal as an error that says what to do.
import { setTimeout as sleep } from "node:timers/promises"
import { type AnnealError, DefinitionError, EnvironmentError, InterruptedError, isAnnealError, UsageError } from "#src/domain/Errors.ts"
import { type HubName, isCommit } from "#src/domain/hubName.ts"
import { type HubEntry, type HubFile, isSharded, neededFiles, shardIndex } from "./hubFiles.ts"

export interface HubClient {
  /** The commit that the revision means now. `quick`: one short attempt, where there is a copy to fall back on. */
  readonly commitOf: (name: HubName, quick: boolean) => Promise<string>
  /** What is to be downloaded of a commit. */
  readonly filesOf: (name: HubName, commit: string, signal?: AbortSignal) => Promise<readonly HubFile[]>
  /** A file's bytes from `from` on (status 206), or all of them where the server cannot do that (status 200). */
  readonly open: (name: HubName, commit: string, file: string, from: number, stop: Stop) => Promise<Response>
  /** "https://huggingface.co/org/name", for people. */
  readonly page: (name: HubName) => string
}

/** Two ways for a transfer to end early: the user's wish, and that nothing arrives any more. */
export interface Stop {
  readonly signal?: AbortSignal | undefined
  readonly stall: AbortSignal
}

type Environment = Readonly<Record<string, string | undefined>>

const attempts = 4
const answerMs = 30_000
const quickMs = 10_000

interface Asking {
  readonly name: HubName
  readonly attempts: number
  /** The user's wish to stop. */
  readonly signal?: AbortSignal | undefined
  /** Ends one attempt. */
  readonly limit: () => AbortSignal
}

/** `retryMs`: the wait before the second attempt; each later one is twice as long. */
export const hubClient = (env: Environment, retryMs = 500): HubClient => {
  const endpoint = endpointOf(env)
  const token = env["HF_TOKEN"]?.trim() || env["HUGGING_FACE_HUB_TOKEN"]?.trim()
  const offline = /^(1|true|yes|on)$/i.test(env["HF_HUB_OFFLINE"] ?? "")
  const page = ({ repo }: HubName): string => `${endpoint}/${repo}`

  const request = async (asking: Asking, url: URL, headers: Readonly<Record<string, string>>): Promise<Response> => {
    const { name, signal } = asking
    // The token is for the hub alone: never for where a listing's next page or a redirect leads.
    const authorization = token !== undefined && url.origin === new URL(endpoint).origin ? { authorization: `Bearer ${token}` } : undefined
    let failure = "HF_HUB_OFFLINE is set"
    for (let attempt = 0; attempt < (offline ? 0 : asking.attempts); attempt++) {
      if (attempt > 0) await sleep(retryMs * 2 ** (attempt - 1), undefined, { signal }).catch(() => {})
      if (isAborted(signal)) throw stopped(name)
      try {
        const limits = signal === undefined ? [asking.limit()] : [asking.limit(), signal]
        const response = await fetch(url, { headers: { ...headers, ...authorization }, signal: AbortSignal.any(limits) })
        if (response.ok || response.status === 416) return response
        await response.body?.cancel()
        if (!isPassing(response.status)) throw refusal(response, name, page(name), token !== undefined)
        failure = `it answered ${response.status} ${response.statusText}`
      } catch (thrown) {
        if (isAnnealError(thrown)) throw thrown
        if (isAborted(signal)) throw stopped(name)
        failure = causeOf(thrown)
      }
    }
    throw unreachable(name, endpoint, failure)
  }

  /** The library's own requests go through `request` too. */
  const asked = async <A>(asking: Asking, ask: (fetcher: typeof fetch) => Promise<A>): Promise<A> => {
    try {
      return await ask((input, init) => request(asking, new URL(input as string | URL), Object.fromEntries(new Headers(init?.headers))))
    } catch (thrown) {
      if (isAnnealError(thrown)) throw thrown
      throw unreachable(asking.name, endpoint, `its answer cannot be read: ${causeOf(thrown)}`)
    }
  }

  const fileUrl = ({ repo }: HubName, commit: string, file: string): URL => new URL(`${endpoint}/${repo}/resolve/${commit}/${file}`)

  return {
    page,
    commitOf: (name, quick) =>
      asked(
        { name, attempts: quick ? 1 : attempts, limit: () => AbortSignal.timeout(quick ? quickMs : answerMs) },
        async (fetcher): Promise<string> => {
          const { modelInfo } = await import("@huggingface/hub")
          const { repo, revision } = name
          const { sha } = await modelInfo({ name: repo, revision, hubUrl: endpoint, additionalFields: ["sha"], fetch: fetcher })
          if (typeof sha !== "string" || !isCommit(sha)) throw new Error("it names no commit")
          return sha
        }
      ),
    filesOf: (name, commit, signal) => {
      const asking: Asking = { name, signal, attempts, limit: () => AbortSignal.timeout(answerMs) }
      return asked(asking, async (fetcher) => {
        const { listFiles } = await import("@huggingface/hub")
        const entries: HubEntry[] = []
        for await (const entry of listFiles({ repo: name.repo, revision: commit, hubUrl: endpoint, fetch: fetcher })) entries.push(entry)
        const index = isSharded(entries) ? await (await request(asking, fileUrl(name, commit, shardIndex), {})).text() : undefined
        return neededFiles(entries, index, page(name))
      })
    },
    open: (name, commit, file, from, { signal, stall }) => {
      // As stored: a compressed answer could not be gone on with at a byte of the file.
      const headers = { "accept-encoding": "identity", ...(from > 0 ? { range: `bytes=${from}-` } : {}) }
      return request({ name, signal, attempts: attempts + 2, limit: () => stall }, fileUrl(name, commit, file), headers)
    }
  }
}

const endpointOf = (env: Environment): string => {
  const given = env["HF_ENDPOINT"]?.trim() || "https://huggingface.co"
  if (URL.canParse(given) && /^https?:$/.test(new URL(given).protocol)) return given.replace(/\/+$/, "")
  throw new UsageError({
    message: `HF_ENDPOINT is "${given}", which is no web address`,
    hint: "for example: HF_ENDPOINT=https://huggingface.co"
  })
}

/** Answers that another attempt may change. */
const isPassing = (status: number): boolean => status === 408 || status === 429 || status >= 500

const causeOf = (thrown: unknown): string => {
  if (!(thrown instanceof Error)) return String(thrown)
  if (thrown.name === "TimeoutError") return "no answer in time"
  const cause = thrown.cause as { readonly code?: unknown; readonly message?: unknown } | undefined
  const [code, message] = [cause?.code, cause?.message]
  return typeof code === "string" ? code : typeof message === "string" && message !== "" ? message : thrown.message
}

/** A call, so that the compiler does not take an earlier answer for the present one. */
const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true

/** Also the sign, for callers, that a copy that is there may be used instead. */
export const isUnreachable = (thrown: unknown): thrown is EnvironmentError =>
  isAnnealError(thrown) && thrown._tag === "EnvironmentError" && thrown.message.startsWith(cannotReach)
const cannotReach = "cannot reach the Hugging Face hub"

export const unreachable = (name: HubName, endpoint: string, why: string): EnvironmentError =>
  new EnvironmentError({
    message: `${cannotReach} for ${name.text}`,
    where: endpoint,
    why,
    hint: 'check the network (behind a proxy: NODE_USE_ENV_PROXY=1; a mirror: HF_ENDPOINT), or download the model elsewhere and give its folder: baseModel("models/name")'
  })

export const stopped = (name: HubName): InterruptedError =>
  new InterruptedError({
    message: `the download of ${name.text} was stopped`,
    why: "what has arrived is kept",
    hint: "run the same command: it goes on from there"
  })

const refusal = (response: Response, name: HubName, page: string, hasToken: boolean): AnnealError => {
  const { status, headers } = response
  const code = headers.get("x-error-code") ?? ""
  const said = headers.get("x-error-message")
  const why = `it answered ${status}${said === null ? "" : `: ${said}`}`
  if (code === "RevisionNotFound") {
    return new DefinitionError({
      message: `${name.repo} has no revision ${name.revision}`,
      where: page,
      why,
      hint: "name a branch, a tag or a commit's whole hash: hf:org/name@revision"
    })
  }
  const token = hasToken
    ? "check that HF_TOKEN belongs to an account that may read it"
    : "set HF_TOKEN to a token of an account that may read it"
  if (status === 401 || status === 403 || status === 404) {
    return new DefinitionError({
      message: `${name.text} cannot be read: it is ${code === "GatedRepo" ? "gated" : "gated, private or misspelt"}`,
      where: page,
      why,
      hint: `check the name; accept the licence at ${page} where it asks for one; ${token}`
    })
  }
  return new DefinitionError({
    message: `the hub refuses ${name.text}`,
    where: page,
    why,
    hint: `open ${page} and check the name and revision`
  })
}
