// The model card of a registered version: README.md with a YAML head as Hugging Face reads it
// (https://huggingface.co/docs/hub/model-cards), then where the model comes from and how good it is. No times: the same model
// gives the same card.
import { baseName, type ModelInfo } from "#src/domain/ModelInfo.ts"
import type { Score, Scores } from "#src/domain/Scores.ts"
import { inline, number } from "#src/report/format.ts"

export interface Card {
  readonly name: string
  readonly version: number
  readonly description: string
  readonly pipeline: string
  readonly info: ModelInfo
  readonly scores: Scores
  readonly digests: { readonly model: string; readonly scores: string }
}

export const modelCard = (card: Card): string =>
  [
    head(card),
    `# ${card.name}@${card.version}`,
    ...(card.description === "" ? [] : [card.description]),
    `${methodText(card.info)} of \`${baseName(card.info.base)}\`, made by the anneal pipeline \`${card.pipeline}\`.`,
    "## Results",
    `On ${card.scores.rows} held-out rows (${card.scores.tokens} scored tokens), beside the untouched base on the same rows. The interval is a 95 % paired bootstrap of the difference over rows.`,
    results(card.scores),
    "## Training",
    table(["option", "value"], configRows(card.info.config)),
    "## Provenance",
    table(["what", "digest"], provenance(card)),
    "## Use",
    use(card)
  ].join("\n\n") + "\n"

/** The base for transformers: on the hub at the very commit of the training, in the form of the training. JSON strings are valid Python. */
const baseArguments = ({ base, quantization }: ModelInfo): string =>
  [
    JSON.stringify(baseName(base)),
    ...(base.hub === undefined ? [] : [`revision=${JSON.stringify(base.hub.commit)}`]),
    ...(quantization === undefined ? [] : ["dtype=torch.float32", "quantization_config=quantization"])
  ].join(", ")

/** The base's 4-bit form for transformers. */
const quantizationLines = ({ quantization }: ModelInfo): readonly string[] =>
  quantization === undefined
    ? []
    : [
        "quantization = BitsAndBytesConfig(",
        `    load_in_4bit=True, bnb_4bit_quant_type="${quantization.quantType}",`,
        `    bnb_4bit_use_double_quant=${quantization.doubleQuant ? "True" : "False"}, bnb_4bit_compute_dtype=torch.float32)`
      ]

// JSON strings are valid YAML, whatever they hold.
const head = ({ info }: Card): string =>
  [
    "---",
    `base_model: ${JSON.stringify(baseName(info.base))}`,
    `library_name: ${info.method === "full" ? "transformers" : "peft"}`,
    "pipeline_tag: text-generation",
    "tags:",
    ...["anneal", ...(info.method === "full" ? [] : [info.method]), "text-generation"].map((tag) => `  - ${tag}`),
    "---"
  ].join("\n")

const methodText = ({ method, parameters }: ModelInfo): string => {
  const count = (n: number): string => n.toLocaleString("en-US")
  return method === "full"
    ? `Full fine-tuning (${count(parameters.total)} parameters)`
    : `Adapter, ${method} (${count(parameters.trainable)} trained of ${count(parameters.total)} parameters)`
}

const results = ({ metrics }: Scores): string =>
  table(
    ["metric", "base", "model", "change", "interval", "better"],
    Object.entries(metrics).map(([name, score]) => [
      name,
      number(score.baseline),
      number(score.model),
      change(score),
      score.difference === undefined ? "-" : `${number(score.difference.low)} to ${number(score.difference.high)}`,
      score.better
    ])
  )

const change = ({ model, baseline }: Score): string => {
  if (model === null || baseline === null) return "-"
  return `${model > baseline ? "+" : ""}${number(model - baseline)}`
}

/** Nested options by dotted path. */
const configRows = (value: unknown, path = ""): readonly (readonly string[])[] =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([name, part]) => configRows(part, path === "" ? name : `${path}.${name}`))
    : [[path, inline(value)]]

const provenance = ({ info, digests }: Card): readonly (readonly string[])[] => [
  ["base", info.base.digest],
  ["training tokens", info.data.train],
  ...(info.data.validation === undefined ? [] : [["validation tokens", info.data.validation]]),
  ...(info.data.adapter === undefined ? [] : [["adapter to begin with", info.data.adapter]]),
  ["tokenizer", info.tokens.tokenizerDigest],
  ["model", digests.model],
  ["scores", digests.scores]
]

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")

const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [header, header.map(() => "---"), ...rows].map((row) => `| ${row.map(cell).join(" | ")} |`).join("\n")

const use = ({ name, version, info }: Card): string => {
  const template = `Prompts are built with the template \`${info.tokens.promptFormat.template}\` for ${info.tokens.promptFormat.rowKind} rows; \`anneal generate\` does so by itself.`
  const python =
    info.method === "full"
      ? [
          "from transformers import AutoModelForCausalLM, AutoTokenizer",
          "",
          'model = AutoModelForCausalLM.from_pretrained("<this folder>")'
        ]
      : [
          ...(info.quantization === undefined ? [] : ["import torch"]),
          "from peft import PeftModel",
          `from transformers import AutoModelForCausalLM, AutoTokenizer${info.quantization === undefined ? "" : ", BitsAndBytesConfig"}`,
          "",
          ...quantizationLines(info),
          `base = AutoModelForCausalLM.from_pretrained(${baseArguments(info)})`,
          'model = PeftModel.from_pretrained(base, "<this folder>")'
        ]
  return [
    fenced("sh", [`anneal generate ${name}@${version} --prompt "..."`]),
    template,
    fenced("python", [...python, 'tokenizer = AutoTokenizer.from_pretrained("<this folder>")'])
  ].join("\n\n")
}

const fenced = (language: string, lines: readonly string[]): string => ["```" + language, ...lines, "```"].join("\n")
