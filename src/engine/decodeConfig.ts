// A stage's config as written -> decoded, with every wrong field named at once: path, what was expected, what stands there,
// and the nearest valid name for a field that does not exist.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import { DefinitionError } from "#src/domain/Errors.ts"
import { nearest } from "#src/domain/nearest.ts"
import type { StageKind } from "#src/domain/Pipeline.ts"

export interface DecodedConfig {
  /** What the stage's run function is given. */
  readonly config: unknown
  /** The same as plain JSON with every default filled in: what the key is made of. */
  readonly encoded: Readonly<Record<string, unknown>>
}

type Path = readonly PropertyKey[]
const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()
const excess = "Expected no excess property"

/** @throws DefinitionError that lists every wrong field; `where` names the stage */
export const decodeConfig = (kind: StageKind, written: unknown, where: string): DecodedConfig => {
  const schema = kind.config as Schema.Codec<unknown, unknown>
  const result = Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(written)
  if (Result.isSuccess(result)) {
    return { config: result.success, encoded: Schema.encodeUnknownSync(schema)(result.success) as Record<string, unknown> }
  }
  const problems = issuesOf(result.failure.issue).issues.map((issue) => {
    const path = (issue.path ?? []).map((step) => (typeof step === "object" ? step.key : step))
    return describe(kind.config.ast, written, path, issue.message)
  })
  throw new DefinitionError({
    message: problems.length === 1 ? `${problems[0]?.text}` : problems.map(({ text }) => text).join("; "),
    where,
    hint: problems.find(({ hint }) => hint !== undefined)?.hint ?? `its options are: ${fieldNames(kind.config.ast, []).join(", ")}`
  })
}

const describe = (ast: SchemaAST.AST, written: unknown, path: Path, message: string): { text: string; hint?: string } => {
  const name = path.map(String).join(".")
  if (message === excess) {
    const names = fieldNames(ast, path.slice(0, -1))
    const last = String(path.at(-1))
    if (names.includes(last)) {
      // A union: an option of another of its kinds.
      const around = path.slice(0, -1)
      const parent = around.map(String).join(".")
      const type = (valueAt(written, around) as { readonly type?: string } | undefined)?.type ?? ""
      return {
        text: `${parent}.type ${JSON.stringify(type)} has no option ${last}`,
        hint: `give ${parent} the type that has it, e.g. --set '${parent}={"type":"…","${last}":…}'`
      }
    }
    const near = nearest(last, names)
    const text = `unknown option ${name}${near === undefined ? "" : ` (did you mean ${near}?)`}`
    return { text, hint: `its options are: ${names.join(", ")}` }
  }
  const actual = valueAt(written, path)
  const expected = message.replace(/^Expected /, "expected ").replace("expected a value ", "expected a number ")
  return { text: `${name === "" ? "the config" : name}: ${expected}, got ${actual === undefined ? "nothing" : JSON.stringify(actual)}` }
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (at, step) => (typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[step] : undefined),
    value
  )

/** Names of the fields that the Schema has at a path; of a union, those of all its members. */
export const fieldNames = (ast: SchemaAST.AST, path: Path): readonly string[] => {
  const [step, ...rest] = path
  switch (ast._tag) {
    case "Union":
      return [...new Set(ast.types.flatMap((type) => fieldNames(type, path)))]
    case "Objects": {
      if (step === undefined) return ast.propertySignatures.map((property) => String(property.name))
      const property = ast.propertySignatures.find((candidate) => candidate.name === step)
      return property === undefined ? [] : fieldNames(property.type, rest)
    }
    case "Arrays":
      return ast.rest.flatMap((type) => fieldNames(type, rest))
    default:
      return []
  }
}
