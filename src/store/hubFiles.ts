// Which files of a repository on the hub make a model folder, and how each is proven: pure over the hub's listing.
import { DataError } from "#src/domain/Errors.ts"

/** An entry of the hub's listing (the part of it that is used). */
export interface HubEntry {
  readonly type: string
  readonly path: string
  readonly size: number
  /** sha1 of the git blob: of the file itself, or of its LFS pointer. */
  readonly oid?: string
  /** Set for a large file; its oid is the sha256 of the file's bytes. */
  readonly lfs?: { readonly oid: string; readonly size: number }
}

export interface HubFile {
  /** A file name, never a path. */
  readonly name: string
  readonly size: number
  readonly hash: { readonly kind: "sha256" | "git"; readonly hex: string }
}

/** Beside the weights; what a repository lacks of these is left out. */
const small = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja"
]
const single = "model.safetensors"
export const shardIndex = "model.safetensors.index.json"

/** Whether the listing needs its index read before `neededFiles` can tell the shards. */
export const isSharded = (entries: readonly HubEntry[]): boolean => has(entries, shardIndex) && !has(entries, single)

const has = (entries: readonly HubEntry[], name: string): boolean => entries.some(({ type, path }) => type === "file" && path === name)

/**
 * The files to download, the small ones first.
 * @param index text of the shard index where `isSharded`
 * @throws DataError where the repository is no model in safetensors, or names a file that a folder must not hold
 */
export const neededFiles = (entries: readonly HubEntry[], index: string | undefined, where: string): readonly HubFile[] => {
  const weights = index === undefined ? [single] : [shardIndex, ...shardsOf(index, where)]
  const lacking = ["config.json", ...weights].find((name) => !has(entries, name))
  if (lacking !== undefined) {
    const other = entries.find(({ path }) => /\.(bin|pt|pth|gguf|h5|msgpack|onnx)$/.test(path))?.path
    throw new DataError({
      message: `the repository has no ${lacking}`,
      where,
      why: `a base model needs config.json and its weights in safetensors${other === undefined ? "" : `; this one has ${other}`}`,
      hint: "name another repository, or convert the model with transformers (save_pretrained) and give the folder"
    })
  }
  const names = [...small.filter((name) => has(entries, name)), ...weights]
  return names.map((name) => fileOf(entries.find(({ path }) => path === name) as HubEntry, where))
}

const shardsOf = (index: string, where: string): readonly string[] => {
  const map = weightMap(index)
  const shards = map === undefined ? [] : [...new Set(Object.values(map))]
  const odd = shards.find((shard) => typeof shard !== "string" || !/^[A-Za-z0-9_][\w.-]*\.safetensors$/.test(shard))
  if (shards.length > 0 && odd === undefined) return (shards as readonly string[]).toSorted()
  throw new DataError({
    message: odd === undefined ? `${shardIndex} names no shard` : `${shardIndex} names the shard ${JSON.stringify(odd)}`,
    where,
    why: "a shard must be a .safetensors file in the model folder itself",
    hint: "name another repository or revision"
  })
}

const weightMap = (index: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const map = (JSON.parse(index) as { readonly weight_map?: unknown } | null)?.weight_map
    return typeof map === "object" && map !== null ? (map as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const fileOf = ({ path, size, oid, lfs }: HubEntry, where: string): HubFile => {
  const hex = (lfs?.oid ?? oid ?? "").replace(/^sha256:/, "").toLowerCase()
  const bytes = lfs?.size ?? size
  if (Number.isSafeInteger(bytes) && bytes >= 0 && (lfs === undefined ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/).test(hex)) {
    return { name: path, size: bytes, hash: { kind: lfs === undefined ? "git" : "sha256", hex } }
  }
  throw new DataError({
    message: `the hub's listing has no size or hash of ${path}`,
    where,
    why: "a file that cannot be checked is not used",
    hint: "check HF_ENDPOINT, or download the model elsewhere and give the folder"
  })
}
