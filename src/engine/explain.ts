// Why a stage runs: two manifests compared field by field, and the one sentence that says it.
import type { ManifestField, Reason } from "#src/domain/RunEvent.ts"

/** A field that differs. `from` or `to` is undefined where the field is not set on that side. */
export interface FieldChange {
  readonly path: string
  readonly from: ManifestField["value"] | undefined
  readonly to: ManifestField["value"] | undefined
}

/** Every field in which two manifests differ, the ones that a user can change first. */
export const diffManifests = (from: readonly ManifestField[], to: readonly ManifestField[]): readonly FieldChange[] => {
  const before = new Map(from.map((field) => [field.path, field]))
  const after = new Map(to.map((field) => [field.path, field]))
  const paths = [...new Set([...before.keys(), ...after.keys()])]
  const same = (a?: ManifestField, b?: ManifestField): boolean =>
    a?.type === b?.type && JSON.stringify(a?.value) === JSON.stringify(b?.value)
  return paths
    .filter((path) => !same(before.get(path), after.get(path)))
    .map((path) => ({ path, from: before.get(path)?.value, to: after.get(path)?.value }))
    .sort((a, b) => rank(a.path) - rank(b.path) || Number(isKind(b.path)) - Number(isKind(a.path)) || (a.path < b.path ? -1 : 1))
}

const order = ["config", "version", "code", "package", "fact", "kind", "keySchema", "file", "input", "output"]
const head = (path: string): string => /^\w+/.exec(path)?.[0] ?? path
const rank = (path: string): number => order.indexOf(head(path))

/** What decides which other fields there are: it explains them. */
const isKind = (path: string): boolean => path.endsWith(".type")

const codeOf = (path: string): Reason["code"] => {
  switch (head(path)) {
    case "config":
      return "config"
    case "file":
    case "input":
    case "output":
      return "input"
    default:
      return "code"
  }
}

/** The reason that a difference to an earlier run gives: the first change in full, the rest counted. */
export const reasonOf = (stage: string, changes: readonly FieldChange[], run: string): Reason => {
  const [first, ...more] = changes
  if (first === undefined) return { code: "missing", run, text: `its result of run ${run} is no longer in the store` }
  return {
    code: codeOf(first.path),
    field: first.path,
    ...(first.from === undefined ? {} : { from: first.from }),
    ...(first.to === undefined ? {} : { to: first.to }),
    run,
    text: `${changeText(stage, first)}${more.length === 0 ? "" : `, and ${more.length} more`}`
  }
}

/** "train.learningRate 0.0002 -> 0.0001" */
export const changeText = (stage: string, { path, from, to }: FieldChange): string => {
  const values = `${show(from)} -> ${show(to)}`
  const name = path.slice(head(path).length).replace(/^\./, "")
  switch (head(path)) {
    case "config":
      return `${stage}.${name} ${values}`
    case "input":
      return `input ${name} changed: ${values}`
    case "file":
      return name.endsWith(".extension")
        ? `file type of ${name.replace(/\.extension$/, "")} ${values}`
        : `file of ${name.replace(/\[0\]$/, "")} changed: ${values}`
    case "code":
      return `code changed: ${name.replace(/^\["|"\]$/g, "")}`
    case "version":
      return `stage kind version ${values}`
    case "output":
      return `output ${name} ${from === undefined ? "added" : "dropped"}`
    default:
      return `${name === "" ? path : name} ${values}`
  }
}

/** Digests are shortened to 8 digits. */
const show = (value: FieldChange["from"]): string => {
  if (value === undefined) return "not set"
  if (typeof value === "string" && value.startsWith("sha256:")) return value.slice(7, 15)
  return typeof value === "string" ? value : JSON.stringify(value)
}

export const neverRan = (): Reason => ({ code: "never-ran", text: "never ran" })
export const forced = (): Reason => ({ code: "forced", text: "forced by the command" })
export const upstream = (ids: readonly string[]): Reason => ({
  code: "upstream",
  field: ids[0] as string,
  text: `waits for ${ids.join(", ")}: reruns only if that result changes`
})
/** A base model from the hub whose bytes, and so their digest, are still to come. */
export const notDownloaded = (ids: readonly string[]): Reason => ({
  code: "upstream",
  field: ids[0] as string,
  text: `waits for ${ids.join(", ")}, not downloaded yet: reruns only if its bytes differ`
})
/** The result is known, but its bytes are not what they were. */
export const lost = (state: "missing" | "corrupt", output: string, run: string): Reason => ({
  code: state,
  field: output,
  run,
  text: state === "missing" ? `its output ${output} is gone from the store` : `its output ${output} was changed in the store`
})
