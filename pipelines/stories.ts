// Fine-tunes a pretrained model of children's stories on two tasks that are far from stories, each scored against the untouched model:
// mobile text messages as instruction rows (spam or ham?), and grade-school arithmetic, question and answer read as one text.
//
// The model and the data are not part of anneal; say where they are:
//   npx anneal run stories --set base.path=<folder of stories260k in Hugging Face layout> \
//     --set sms.from=<SMSSpamCollection.tsv> --set maths.from=<gsm8k train.jsonl>
// See docs/results.md for the figures of one run.
import { baseModel, evaluate, format, full, ingest, lora, pipeline, register, split, train } from "anneal"

export default pipeline("stories", { objective: "how far does a model of stories move towards messages and arithmetic?" }, () => {
  const base = baseModel("stories260k")

  const sms = ingest({
    id: "sms",
    from: "SMSSpamCollection.tsv",
    as: "instruction",
    format: "tsv",
    header: false,
    quote: "",
    columns: { output: "column0", input: "column1" },
    constants: { instruction: "Is this message spam or ham?" }
  })
  const smsParts = split(sms, { id: "sms-split", validation: 0.05, test: 0.1, stratifyBy: "output" })
  const smsTokens = format({ ...smsParts, base }, { id: "sms-format", template: "plain", maxLength: 256, onOverlong: "drop" })
  // full(), because an adapter leaves the output layer as it is, and this model never learnt to end a text.
  const smsModel = train(
    { tokens: smsTokens, base },
    { id: "sms-train", method: full(), epochs: 1, batchSize: 16, learningRate: 1e-3, schedule: "cosine", warmupRatio: 0.05 }
  )
  const smsScores = evaluate(
    { model: smsModel, tokens: smsTokens.test, baseline: base },
    { id: "sms-evaluate", metrics: ["perplexity", "tokenAccuracy", "exactMatch"], maxNewTokens: 8 }
  )
  register(smsModel, smsScores, { id: "sms-register", name: "stories-sms", requires: { perplexity: "better than baseline" } })

  const maths = ingest({ id: "maths", from: "train.jsonl", as: "instruction", columns: { instruction: "question", output: "answer" } })
  const mathsParts = split(maths, { id: "maths-split", validation: 0.05, test: 0.1 })
  const mathsTokens = format(
    { ...mathsParts, base },
    { id: "maths-format", template: "plain", maxLength: 256, onOverlong: "truncate", trainOnPrompt: true }
  )
  const mathsModel = train(
    { tokens: mathsTokens, base },
    { id: "maths-train", method: lora({ r: 16, loraAlpha: 32, targetModules: "all-linear" }), epochs: 1, batchSize: 16, learningRate: 4e-3 }
  )
  const mathsScores = evaluate({ model: mathsModel, tokens: mathsTokens.test, baseline: base }, { id: "maths-evaluate" })
  register(mathsModel, mathsScores, { id: "maths-register", name: "stories-maths", requires: { perplexity: "better than baseline" } })
})
