// Writes docs/reference/<stage>.md: one table of options a stage kind, read from its config Schema.
// With --check nothing is written: exits 1 where a page differs from what the Schemas say.
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import * as SchemaAST from "effect/SchemaAST"
import type * as Schema from "effect/Schema"
import { methods } from "#src/adapters/options.ts"
import type { StageKind } from "#src/domain/Pipeline.ts"
import { kinds } from "#stages/kinds.ts"

const folder = resolve(import.meta.dirname, "../docs/reference")

/** The type of a field as a reader of a pipeline file would write it. */
const typeText = (ast: SchemaAST.AST): string => {
  const bounds = (ast.checks ?? []).flatMap((check) => {
    const expected = check.annotations?.["expected"]
    return typeof expected === "string" && !["a finite number", "a value with a length of at least 1"].includes(expected) ? [expected] : []
  })
  const base = bareType(ast)
  const text = bounds.map((bound) => bound.replace(/^a value /, "")).join(", ")
  return text === ""
    ? base
    : base === "number" && text.startsWith("an integer")
      ? text.replace(/^an integer,?/, "integer")
      : `${base} ${text}`
}

const bareType = (ast: SchemaAST.AST): string => {
  switch (ast._tag) {
    case "String":
    case "TemplateLiteral":
      return "text"
    case "Number":
      return "number"
    case "Boolean":
      return "true or false"
    case "Literal":
      return JSON.stringify(ast.literal)
    case "Union":
      return ast.types.map(typeText).join(" | ")
    case "Arrays":
      return `list of ${typeText(ast.rest[0] ?? ast.elements[0] ?? ast)}`
    case "Objects": {
      const tag = ast.propertySignatures.find((property) => property.name === "type")?.type
      if (tag?._tag === "Literal") return `${String(tag.literal)}()`
      const fields = ast.propertySignatures.map((property) => `${String(property.name)}: ${typeText(property.type)}`)
      return fields.length > 0 ? `{ ${fields.join(", ")} }` : `{ name: ${typeText(ast.indexSignatures[0]?.type ?? ast)} }`
    }
    default:
      return ast._tag
  }
}

const cell = (text: string): string => text.replaceAll("|", "\\|")

const table = (fields: Readonly<Record<string, Schema.Top>>): string =>
  [
    "| option | type | default | what it does |",
    "| --- | --- | --- | --- |",
    ...Object.entries(fields)
      .filter(([name]) => name !== "type")
      .map(([name, schema]) => {
        const notes = SchemaAST.resolve(schema.ast) ?? {}
        const byDefault =
          "anneal_default" in notes
            ? `\`${JSON.stringify(notes["anneal_default"])}\``
            : SchemaAST.isOptional(schema.ast)
              ? "not set"
              : "**required**"
        return `| \`${name}\` | ${cell(typeText(schema.ast))} | ${cell(byDefault)} | ${cell(typeof notes.description === "string" ? notes.description : "")} |`
      })
  ].join("\n")

const fieldsOf = (kind: StageKind): Readonly<Record<string, Schema.Top>> => {
  if ("fields" in kind.config) return kind.config.fields as Readonly<Record<string, Schema.Top>>
  throw new Error(`${kind.kind}: its config is no struct, so there is no table to write`)
}

const ports = (declared: Readonly<Record<string, string>>): string =>
  Object.keys(declared).length === 0
    ? "none"
    : Object.entries(declared)
        .map(([name, kind]) => `\`${name}\` (${kind.replace("?", ", may be left out")})`)
        .join(", ")

const methodTables = (): readonly string[] =>
  Object.entries(methods).flatMap(([name, { fields }]) =>
    Object.keys(fields).length > 1 ? ["", `## method: ${name}({ … })`, "", table(fields)] : []
  )

const page = (kind: StageKind): string =>
  [
    `# ${kind.kind}`,
    "",
    "Made from the Schema in `stages/" + kind.kind + "/stage.ts` by `npm run reference`.",
    "",
    `Inputs: ${ports(kind.inputs)}. Outputs: ${ports(kind.outputs)}. Version ${kind.version}.`,
    "Every stage also takes `id`, its name in the pipeline (default: the kind's name).",
    ...(kind.executionOnly === undefined
      ? []
      : [`Not part of the key, so changing it reruns nothing: ${kind.executionOnly.map((name) => `\`${name}\``).join(", ")}.`]),
    "",
    table(fieldsOf(kind)),
    ...(kind.kind === "train" ? methodTables() : []),
    ""
  ].join("\n")

const check = process.argv.includes("--check")
let stale = 0
for (const kind of Object.values(kinds)) {
  const file = join(folder, `${kind.kind}.md`)
  const wanted = page(kind)
  if (!check) writeFileSync(file, wanted)
  else if (readFileSync(file, "utf8") !== wanted) {
    stale++
    console.error(`✘ docs/reference/${kind.kind}.md does not say what stages/${kind.kind}/stage.ts says; run: npm run reference`)
  }
}
process.exit(stale === 0 ? 0 : 1)
