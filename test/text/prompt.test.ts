// Prompts: exact template texts, what is trained, and that an inference prompt is always a prefix of the training ids.
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { Row, RowKind } from "#src/domain/rows.ts"
import type { PromptFormat } from "#src/domain/Tokens.ts"
import { modelTemplate } from "#src/text/chatTemplate.ts"
import { encodePrompt, encodeTraining, endTokenIds } from "#src/text/encode.ts"
import { type PromptFields, promptFields, promptOptions, renderPrompt } from "#src/text/prompt.ts"
import { loadTokenizer } from "#src/text/Tokenizer.ts"
import { hasShared, shared } from "../shared.ts"
import { tinyBase } from "./tinyBase.ts"

const format = (template: PromptFormat["template"], rowKind: RowKind, rest: Partial<PromptFormat> = {}): PromptFormat => ({
  template,
  rowKind,
  systemPrompt: "",
  classInstruction: "Classify the text.",
  date: "2025-01-01",
  ...rest
})

const chat = {
  id: "1",
  messages: [
    { role: "user", content: "Hello" },
    { role: "assistant", content: "Hi there" },
    { role: "user", content: "And now?" },
    { role: "assistant", content: "Bye" }
  ]
} as const

const trainedText = (row: Row, options: ReturnType<typeof promptOptions>): string => {
  const { tokens, mask } = encodeTraining(row, options)
  return options.tokenizer.decode(
    tokens.filter((_, i) => mask[i] === 1),
    true
  )
}

describe("templates without turns", () => {
  it("alpaca is Stanford's text, with and without input", async () => {
    const options = promptOptions(format("alpaca", "instruction"), await loadTokenizer(tinyBase()))
    const text = (fields: PromptFields) =>
      renderPrompt(fields, options)
        .map((s) => s.text)
        .join("")
    expect(text({ instruction: "Add.", input: "1 2" })).toBe(
      "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:"
    )
    expect(text({ instruction: "Add." })).toBe(
      "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Response:"
    )
  })

  it("trains the answer and the end token, after exactly one begin token", async () => {
    const tokenizer = await loadTokenizer(tinyBase())
    const options = promptOptions(format("alpaca", "instruction"), tokenizer)
    const row = { id: "1", instruction: "Add.", output: "3" }
    const { tokens, mask, promptLength, reference } = encodeTraining(row, options)
    expect(trainedText(row, options)).toBe("3</s>")
    expect(reference).toBe("3")
    expect(tokens.filter((id) => id === 256)).toEqual([256])
    expect(mask.lastIndexOf(0)).toBe(promptLength - 1)
    expect(endTokenIds(options, [257, 9])).toEqual([257, 9])
  })

  it("adds no begin token where the tokenizer has none", async () => {
    const options = promptOptions(format("plain", "completion"), await loadTokenizer(tinyBase({ bos: false })))
    expect(encodeTraining({ id: "1", prompt: "ab", completion: "c" }, options)).toEqual({
      tokens: [97, 98, 99, 257],
      mask: [0, 0, 1, 1],
      promptLength: 2,
      reference: "c"
    })
  })

  it("refuses chat rows, and a model template where the base has none", async () => {
    const tokenizer = await loadTokenizer(tinyBase())
    expect(() => promptOptions(format("alpaca", "chat"), tokenizer)).toThrow("template alpaca has no turns")
    expect(() => promptOptions(format("model", "chat"), tokenizer)).toThrow("the base has no chat_template")
  })
})

describe("chat", () => {
  it("chatml with a token for the end of a turn trains that token", async () => {
    const options = promptOptions(format("chatml", "chat"), await loadTokenizer(tinyBase({ special: ["<|im_start|>", "<|im_end|>"] })))
    expect(trainedText(chat, options)).toBe("Hi there<|im_end|>Bye<|im_end|>")
    expect(endTokenIds(options, [257])).toEqual([259, 257])
    expect(encodeTraining(chat, options).tokens.at(-1)).toBe(259)
  })

  it("chatml on a tokenizer without such a token trains the end of sequence right after the answer", async () => {
    const options = promptOptions(format("chatml", "chat"), await loadTokenizer(tinyBase()))
    expect(trainedText(chat, options)).toBe("Hi there</s>Bye</s>")
    expect(endTokenIds(options, [257])).toEqual([257])
  })

  it("finds the answer where the template's own words repeat it, and refuses one that rewrites it", async () => {
    const source = (content: string) => `{% for m in messages %}<{{ m.role }}>{{ ${content} }}</{{ m.role }}>{% endfor %}`
    const answered = {
      id: "1",
      messages: [
        { role: "user", content: "q" },
        { role: "assistant", content: "s" }
      ]
    } as const
    const plain = promptOptions(format("model", "chat"), await loadTokenizer(tinyBase({ chatTemplate: source("m.content") })))
    expect(trainedText(answered, plain)).toBe("<assistant>s</s>")
    const upper = promptOptions(format("model", "chat"), await loadTokenizer(tinyBase({ chatTemplate: source("m.content | upper") })))
    expect(() => encodeTraining(answered, upper)).toThrow(
      expect.objectContaining({ why: "it does not show the assistant's message as it is written" })
    )
  })

  it("touches no text rows", async () => {
    const options = promptOptions(format("model", "text"), await loadTokenizer(tinyBase({ special: ["<|im_end|>"] })))
    expect(encodeTraining({ id: "1", text: "a" }, options).tokens).toEqual([256, 97, 257])
    expect(endTokenIds(options, [257])).toEqual([257])
  })

  it("puts the system prompt first where the row has none", async () => {
    const tokenizer = await loadTokenizer(tinyBase())
    const options = promptOptions(format("chatml", "instruction", { systemPrompt: "Be brief." }), tokenizer)
    const text = renderPrompt({ instruction: "Add.", input: "1 2" }, options).map((s) => s.text)
    expect(text.join("")).toBe("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nAdd.\n\n1 2<|im_end|>\n<|im_start|>assistant\n")
  })

  it("trains nothing where nobody answers", async () => {
    const options = promptOptions(format("chatml", "chat"), await loadTokenizer(tinyBase()))
    expect(encodeTraining({ id: "1", messages: [{ role: "user", content: "?" }] }, options).tokens).toEqual([])
  })

  it("shows what a template raises, and refuses one that rewrites earlier turns", async () => {
    const raising = tinyBase({ chatTemplate: "{{ raise_exception('only one turn') }}" })
    const refused = promptOptions(format("model", "chat"), await loadTokenizer(raising))
    expect(() => encodeTraining(chat, refused)).toThrow(expect.objectContaining({ _tag: "DataError", why: "only one turn" }))
    const counting = tinyBase({ chatTemplate: "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}" })
    const rewriting = promptOptions(format("model", "chat"), await loadTokenizer(counting))
    expect(() => encodeTraining(chat, rewriting)).toThrow("the chat template cannot mark the answer in message 2")
    expect(() => promptOptions(format("model", "chat"), { ...refused.tokenizer, chatTemplate: "{% for %}" })).toThrow("cannot be read")
  })

  it("pins the date that a template asks for", async () => {
    const dated = tinyBase({ chatTemplate: "{{ strftime_now('%d %b %Y, %A') }}" })
    const options = promptOptions(format("model", "chat", { date: "2024-02-29" }), await loadTokenizer(dated))
    expect(options.template?.([], false)).toBe("29 Feb 2024, Thursday")
  })
})

describe("the prompt at inference is a prefix of the training ids", () => {
  const rows: readonly (readonly [RowKind, Row, PromptFields])[] = [
    ["instruction", { id: "1", instruction: "a", input: "b", output: "c" }, { instruction: "a", input: "b" }],
    ["instruction", { id: "1", instruction: "a", output: " c" }, promptFields("instruction", "a")],
    ["completion", { id: "1", prompt: "a ", completion: "c" }, promptFields("completion", "a ")],
    ["classification", { id: "1", text: "t", label: "l" }, promptFields("classification", "t")],
    ["chat", chat, { messages: chat.messages.slice(0, 1) }],
    ["chat", chat, { messages: chat.messages.slice(0, 3) }]
  ]
  const templates = ["alpaca", "plain", "chatml"] as const
  const cases = templates.flatMap((template) => rows.map(([kind, row, fields]) => ({ template, kind, row, fields })))
  it.each(cases.filter((c) => c.kind !== "chat" || c.template === "chatml"))(
    "$template, $kind",
    async ({ template, kind, row, fields }) => {
      for (const special of [[], ["<|im_start|>", "<|im_end|>"]]) {
        const options = promptOptions(format(template, kind), await loadTokenizer(tinyBase({ special })))
        const prompt = encodePrompt(fields, options)
        const { tokens, promptLength } = encodeTraining(row, options)
        expect(tokens.slice(0, prompt.length)).toEqual(prompt)
        if (kind !== "chat") expect(prompt.length).toBe(promptLength)
      }
    }
  )
})

describe.skipIf(!hasShared)("chat templates of real models (needs the shared data)", () => {
  it("Llama 3.2 shows the pinned date, not today's", () => {
    const source = readFileSync(shared("data/tokenizers/chat-templates/meta-llama-Llama-3.2-3B-Instruct.jinja"), "utf8")
    const template = modelTemplate(source, { bos_token: "<s>", eos_token: "</s>" }, "2025-01-01")
    expect(template([{ role: "user", content: "q" }], true)).toBe(
      "<s><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 01 Jan 2025\n\n<|eot_id|>" +
        "<|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
  })

  const real = [
    ["Qwen-Qwen2.5-7B-Instruct", ["<|im_start|>", "<|im_end|>"], "Hi there<|im_end|>Bye<|im_end|>"],
    ["google-gemma-2-2b-it", ["<start_of_turn>", "<end_of_turn>"], "Hi there<end_of_turn>Bye<end_of_turn>"],
    ["meta-llama-Llama-3.1-8B-Instruct", ["<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"], "Hi there<|eot_id|>Bye<|eot_id|>"],
    ["meta-llama-Llama-3.2-3B-Instruct", ["<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"], "Hi there<|eot_id|>Bye<|eot_id|>"],
    ["microsoft-Phi-3.5-mini-instruct", ["<|end|>", "<|user|>", "<|assistant|>"], "Hi there<|end|>Bye<|end|>"],
    ["mistralai-Mistral-Nemo-Instruct-2407", ["[INST]", "[/INST]"], "Hi there</s>Bye</s>"]
  ] as const
  it.each(real)("%s trains the answers and their end tokens", async (name, special, trained) => {
    const chatTemplate = readFileSync(shared(`data/tokenizers/chat-templates/${name}.jinja`), "utf8")
    const options = promptOptions(format("model", "chat"), await loadTokenizer(tinyBase({ special, chatTemplate })))
    expect(trainedText(chat, options)).toBe(trained)
    const { tokens } = encodeTraining(chat, options)
    expect(tokens.filter((id) => id === 256)).toEqual([256])
    const prompt = encodePrompt({ messages: chat.messages.slice(0, 3) }, options)
    expect(tokens.slice(0, prompt.length)).toEqual(prompt)
    expect(endTokenIds(options, [])).toEqual([tokens.at(-1)])
  })
})
