// The key of a stage: a digest of everything that determines its outputs, kept field by field as the key's manifest.
// `plan`, `why` and the cache all read this one record.
import { createHash } from "node:crypto"
import { DefinitionError } from "#src/domain/Errors.ts"
import type { ManifestField } from "#src/domain/RunEvent.ts"

/** Bumped when this file changes what a key is made of: every stage then reruns once, and says so ("keySchema 1 -> 2"). */
export const keySchema = 1

export interface FileDigest {
  readonly digest: string
  /** Lower-case ending of the file's name without the dot: readers choose the format by it. */
  readonly extension: string
}

export interface FingerprintInput {
  readonly kind: string
  readonly version: number
  /** A user's own stage: digests of its modules by path, versions of its packages by name. Empty for a builtin kind. */
  readonly code: { readonly modules: Readonly<Record<string, string>>; readonly packages: Readonly<Record<string, string>> }
  /** Plain JSON, defaults filled in. */
  readonly config: Readonly<Record<string, unknown>>
  /** Dotted config paths that never change a result, and those that name files. */
  readonly leftOut: readonly string[]
  /** Digests of input artifacts by input name. */
  readonly inputs: Readonly<Record<string, string>>
  /** External files by config path; several where the config lists several. */
  readonly files: Readonly<Record<string, readonly FileDigest[]>>
  readonly facts: Readonly<Record<string, string>>
  /** Output name -> artifact kind, of this instance. */
  readonly outputs: Readonly<Record<string, string>>
}

/** Every field, sorted by path. @throws DefinitionError for a config value that is no plain JSON */
export const manifestOf = (input: FingerprintInput): readonly ManifestField[] => {
  const text = (path: string, value: string): ManifestField => ({ path, type: "string", value })
  const digest = (path: string, value: string): ManifestField => ({ path, type: "digest", value })
  const all = <V>(prefix: string, record: Readonly<Record<string, V>>, field: (path: string, value: V) => ManifestField) =>
    Object.entries(record).map(([name, value]) => field(`${prefix}${step(name)}`, value))
  const leftOut = new Set(input.leftOut.map((path) => `config.${path}`))
  return [
    { path: "keySchema", type: "int", value: keySchema } as const,
    text("kind", input.kind),
    { path: "version", type: "int", value: input.version } as const,
    ...all("code", input.code.modules, digest),
    ...all("package", input.code.packages, text),
    ...Object.entries(input.config).flatMap(([name, value]) => flatten(`config${step(name)}`, value, leftOut)),
    ...all("input", input.inputs, digest),
    ...Object.entries(input.files).flatMap(([path, files]) =>
      files.flatMap((file, i) => [digest(`file.${path}[${i}]`, file.digest), text(`file.${path}[${i}].extension`, file.extension)])
    ),
    ...all("fact", input.facts, text),
    ...all("output", input.outputs, text)
  ].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** ".name", or ["na.me"] where the name could be taken for something else. */
const step = (name: string): string => (/^[A-Za-z_$][\w$-]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`)

const flatten = (path: string, value: unknown, leftOut: ReadonlySet<string>): readonly ManifestField[] => {
  if (leftOut.has(path) || value === undefined) return []
  if (value === null) return [{ path, type: "null", value }]
  switch (typeof value) {
    case "string":
      return [{ path, type: "string", value }]
    case "boolean":
      return [{ path, type: "bool", value }]
    case "number":
      return [{ path, type: Number.isInteger(value) ? "int" : "float", value }]
    case "object": {
      if (Array.isArray(value)) {
        return value.length === 0
          ? [{ path, type: "empty-list", value: [] }]
          : value.flatMap((item: unknown, i) => flatten(`${path}[${i}]`, item === undefined ? unusable(path, item) : item, leftOut))
      }
      const entries = Object.entries(value).filter(([, item]) => item !== undefined)
      return entries.length === 0
        ? [{ path, type: "empty-object", value: {} }]
        : entries.flatMap(([name, item]) => flatten(`${path}${step(name)}`, item, leftOut))
    }
    default:
      return unusable(path, value)
  }
}

const unusable = (path: string, value: unknown): never => {
  throw new DefinitionError({
    message: `${path}: ${typeof value === "string" ? "the text is not valid Unicode" : `${Object.is(value, -0) ? "-0" : String(value)} cannot be part of a key`}`,
    hint: "give a number, a text, true, false, null, or a list or record of them"
  })
}

const tags: Record<ManifestField["type"], string> = {
  string: "s",
  int: "i",
  float: "f",
  bool: "b",
  null: "n",
  digest: "d",
  "empty-list": "l",
  "empty-object": "o"
}

/**
 * "sha256:<hex>" of the fields: each as `length:path tag length:value`, lengths in bytes, so that no two manifests read alike.
 * @throws DefinitionError for a value without a canonical form: NaN, an infinity, -0, text that is not valid Unicode
 */
export const keyOf = (manifest: readonly ManifestField[]): string => {
  const hash = createHash("sha256")
  for (const { path, type, value } of manifest) hash.update(`${sized(path, path)}${tags[type]}${sized(path, canonical(path, value))}`)
  return `sha256:${hash.digest("hex")}`
}

const sized = (path: string, text: string): string => {
  if (!text.isWellFormed()) unusable(path, text)
  return `${Buffer.byteLength(text)}:${text}`
}

const canonical = (path: string, value: ManifestField["value"]): string => {
  if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))) return unusable(path, value)
  return typeof value === "object" ? "" : String(value)
}
