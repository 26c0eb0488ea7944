// One journal for every test of output: a run with a reused stage, a resumed training, an alert, a failing gate or a registration.
import type { RunEvent, RunEventBody } from "#src/domain/RunEvent.ts"

const digest = (head: string): string => `sha256:${head.padEnd(64, "0")}`

const stamp = (bodies: readonly (readonly [seconds: number, body: RunEventBody])[]): readonly RunEvent[] =>
  bodies.map(
    ([seconds, body], seq) =>
      ({ ...body, v: 1, seq, time: new Date(Date.UTC(2026, 0, 2, 3, 4, 5) + seconds * 1000).toISOString(), run: "calm-ibis" }) as RunEvent
  )

const planned = (id: string, kind: string, needs: readonly string[], decision: "reuse" | "run" | "maybe") => ({
  id,
  kind,
  needs,
  decision,
  reason:
    decision === "reuse"
      ? null
      : decision === "run"
        ? {
            code: "config" as const,
            field: "config.learningRate",
            from: 2e-4,
            to: 1e-4,
            run: "base-01",
            text: "train.learningRate 0.0002 -> 0.0001"
          }
        : { code: "upstream" as const, text: "depends on train" },
  key: decision === "maybe" ? null : digest(`${id.length}a`)
})

const ended = {
  _tag: "StageEnded",
  outputs: [],
  metrics: {},
  key: null,
  computeMs: 0,
  writeMs: 0,
  error: null
} as const

const start: readonly (readonly [number, RunEventBody])[] = [
  [
    0,
    {
      _tag: "RunStarted",
      pipeline: "support",
      objective: "answer mails",
      git: "81ac0e2+dirty",
      pid: 7,
      pidStart: "99",
      config: { train: { learningRate: 1e-4 } },
      overrides: { "train.learningRate": 1e-4 },
      sources: {}
    }
  ],
  [
    0,
    {
      _tag: "Planned",
      stages: [
        planned("format", "format", [], "reuse"),
        planned("train", "train", ["format"], "run"),
        planned("evaluate", "evaluate", ["train", "format"], "maybe"),
        planned("register", "register", ["train", "evaluate"], "maybe")
      ]
    }
  ],
  [
    0,
    {
      ...ended,
      stage: "format",
      kind: "format",
      outcome: "reused",
      key: digest("6a"),
      producedBy: "base-01",
      outputs: [{ name: "train", kind: "tokens", digest: digest("51fa"), bytes: 4200, rows: 480 }]
    }
  ],
  [
    1,
    {
      _tag: "StageStarted",
      stage: "train",
      kind: "train",
      attempt: "a1",
      key: digest("5a"),
      manifest: [{ path: "config.learningRate", type: "float", value: 1e-4 }],
      reason: planned("train", "train", [], "run").reason
    }
  ],
  [1, { _tag: "Log", stage: "train", level: "info", text: "trainable params: 8,192 || all params: 260,032 || trainable%: 3.15" }],
  [1, { _tag: "Resumed", stage: "train", checkpoint: "step-20", step: 20 }]
]

/** 100 steps from step 20 on, one a second; step 40 and 80 are validated; step 61 reports an infinite norm. */
const steps: readonly (readonly [number, RunEventBody])[] = Array.from({ length: 100 }, (_, i) => i).flatMap((i) => {
  const step = i + 21
  const at = 2 + i
  const values = { loss: 3 / Math.sqrt(step), learningRate: 1e-4 * (1 - step / 120), gradNorm: step === 61 ? null : 1 + (step % 7) / 10 }
  return [
    [at, { _tag: "Progress", stage: "train", done: step, total: 120, unit: "steps" }],
    [
      at,
      { _tag: "Metrics", stage: "train", step, values: { ...values, tokensPerSecond: 11_900 }, nonFinite: step === 61 ? ["gradNorm"] : [] }
    ],
    ...(step === 61
      ? [[at, { _tag: "Alert", stage: "train", kind: "non-finite", step, detail: "step 61: gradNorm is not finite" }] as const]
      : []),
    ...(step % 40 === 0
      ? ([
          [at, { _tag: "Metrics", stage: "train", step, values: { validationLoss: 4 / Math.sqrt(step) }, nonFinite: [] }],
          [at, { _tag: "Saved", stage: "train", what: "checkpoint", name: `step-${step}`, digest: null, bytes: 1_900_000 }],
          [at, { _tag: "Device", stage: "train", rss: 312_000_000, peakRss: 400_000_000 }]
        ] as const)
      : [])
  ] as (readonly [number, RunEventBody])[]
})

const trained: readonly [number, RunEventBody] = [
  103,
  {
    ...ended,
    stage: "train",
    kind: "train",
    outcome: "done",
    key: digest("5a"),
    computeMs: 101_400,
    writeMs: 300,
    metrics: { loss: 0.274, validationLoss: 0.365 },
    outputs: [{ name: "model", kind: "model", digest: digest("c419"), bytes: 1_040_000 }]
  }
]

const evaluating: RunEventBody = {
  _tag: "StageStarted",
  stage: "evaluate",
  kind: "evaluate",
  attempt: "a2",
  key: digest("8a"),
  manifest: [],
  reason: { code: "upstream", text: "train.model changed" }
}

export const doneJournal = stamp([
  ...start,
  ...steps,
  trained,
  [103, evaluating],
  [104, { _tag: "Progress", stage: "evaluate", done: 32, total: 64, unit: "rows" }],
  [106, { _tag: "Progress", stage: "evaluate", done: 64, total: 64, unit: "rows" }],
  [
    107,
    { ...ended, stage: "evaluate", kind: "evaluate", outcome: "done", key: digest("8a"), computeMs: 4000, metrics: { exactMatch: 0.86 } }
  ],
  [108, { _tag: "Registered", stage: "register", name: "support", version: 3, digest: digest("77c0"), key: digest("8b") }],
  [108, { _tag: "AliasMoved", name: "support", alias: "latest", version: 3 }],
  [108, { ...ended, stage: "register", kind: "register", outcome: "done", key: digest("8b"), computeMs: 600, summary: "support@3" }],
  [109, { _tag: "RunEnded", outcome: "done", savedMs: 42_000 }]
])

export const failedJournal = stamp([
  ...start,
  ...steps,
  trained,
  [103, evaluating],
  [104, { _tag: "Log", stage: "evaluate", level: "warning", text: "one row has no reference" }],
  [
    105,
    {
      ...ended,
      stage: "evaluate",
      kind: "evaluate",
      outcome: "failed",
      computeMs: 1800,
      error: {
        tag: "DataError",
        message: "no row has a reference",
        where: "tokens.test",
        why: "the rows are of kind text",
        hint: "use perplexity"
      }
    }
  ],
  [105, { ...ended, stage: "register", kind: "register", outcome: "skipped" }],
  [105, { _tag: "RunEnded", outcome: "failed", savedMs: 42_000 }]
])

/** The done journal cut while the train stage is at step 81. */
export const liveJournal = doneJournal.slice(0, doneJournal.findIndex((event) => event._tag === "Metrics" && event.step === 81) + 1)
