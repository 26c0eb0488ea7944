// A real pretrained model: its zero-shot losses on five kinds of text, and its logits and greedy continuations of short prompts.
import { readFileSync } from "node:fs"
import { beforeAll, describe, expect, test } from "vitest"
import { Graph } from "#src/graph/Graph.ts"
import { crossEntropy } from "#src/graph/loss.ts"
import { encodeModel } from "#src/graph/onnx/encode.ts"
import { loadModel } from "#src/models/load.ts"
import { Session } from "#src/runtime/Session.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { hasShared, shared } from "../shared.ts"
import { lossInputs } from "./forward.ts"
import { greedy } from "./greedy.ts"

const folder = shared("data", "stories260k", "hf")
const data = (...path: readonly string[]) => readFileSync(shared("data", ...path), "utf8")
const paragraphs = (text: string) => text.split("\n\n").filter((paragraph) => paragraph.length > 100)
const lines = (text: string) => text.split(/\r?\n/).filter((line) => line !== "")
/** First column of a CSV line. */
const firstCell = (line: string) => (/^"((?:[^"]|"")*)"/.exec(line)?.[1] ?? line.split(",")[0]!).replaceAll('""', '"')

// Tokens and mean loss as ../shared/data/README.md states them; they were computed without ONNX Runtime or PyTorch.
const zeroShot: readonly (readonly [string, () => readonly string[], number, number])[] = [
  ["tinystories", () => paragraphs(data("tinystories-sample", "tinystories_b.txt")), 5058, 1.4773],
  [
    "gsm8k test",
    () =>
      lines(data("gsm8k", "test.jsonl")).map((line) => {
        const row = JSON.parse(line) as { readonly question: string; readonly answer: string }
        return `${row.question}\n${row.answer}`
      }),
    12138,
    4.9741
  ],
  ["banking77 test", () => lines(data("banking77", "test.csv")).slice(1).map(firstCell), 1366, 3.5392],
  ["sms-spam", () => lines(data("sms-spam", "SMSSpamCollection.tsv")).map((line) => line.slice(line.indexOf("\t") + 1)), 3051, 4.9854],
  ["tinyshakespeare", () => paragraphs(data("tinyshakespeare", "input.txt")), 7469, 4.6173]
]

const batch = 10
const length = 256

describe.skipIf(!hasShared)("stories260k", () => {
  let losses: (rows: readonly (readonly number[])[]) => Promise<{ readonly tokens: number; readonly nll: number }>

  beforeAll(async () => {
    const { model, weights } = await loadModel(folder)
    const graph = new Graph()
    const parameters = new Map(
      model.parameters.map(({ name, shape }) => [name, graph.constant(weights.read(name), "float32", shape, name)])
    )
    const built = model.build(graph, { inputIds: graph.input("ids", "int64", [batch, length]), param: (name) => parameters.get(name)! })
    const size = [batch * length]
    const loss = crossEntropy(built.logits, graph.input("targets", "int64", size), graph.input("weights", "float32", size))
    graph.output("nll", loss.tokenNll)
    const session = await Session.create(encodeModel(graph), { threads: 1 })
    losses = async (rows) => {
      const padded = rows.map((row) => [...row, ...new Array<number>(length - row.length).fill(0)])
      const labels = rows.map((row) => [...row, ...new Array<number>(length - row.length).fill(-100)])
      const { inputIds, targets, weights, counted } = lossInputs({ input_ids: padded, labels })
      const { nll } = await session.run({ ids: inputIds, targets, weights }, ["nll"])
      return { tokens: counted, nll: weights.reduce((sum, weight, i) => sum + weight * Number(nll![i]), 0) }
    }
    return () => session.release()
  })

  test.each(zeroShot)("zero-shot loss on %s", async (_, texts, tokens, nll) => {
    const tokenizer = await loadTokenizer(folder)
    const rows = texts()
      .slice(0, 50)
      .map((text) => [1, ...tokenizer.encode(text)].slice(0, length))
    let total = { tokens: 0, nll: 0 }
    for (let i = 0; i < rows.length; i += batch) {
      const part = await losses(rows.slice(i, i + batch))
      total = { tokens: total.tokens + part.tokens, nll: total.nll + part.nll }
    }
    expect(total.tokens).toBe(tokens)
    expect((total.nll / total.tokens).toFixed(4)).toBe(nll.toFixed(4))
  })

  interface Golden {
    readonly ids: readonly number[]
    readonly greedy32: readonly number[]
  }

  test.each(["", "Once upon a time", "The little dog"])("greedy continuation of %o", async (prompt) => {
    const goldens = JSON.parse(data("goldens", "model_goldens.json")) as Record<string, Record<string, Golden>>
    const { ids, greedy32 } = goldens["stories260k/hf"]![prompt]!
    const { model, weights } = await loadModel(folder)
    expect(await greedy(model, weights, ids, greedy32.length)).toEqual(greedy32)
  })
})
