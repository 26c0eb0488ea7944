// Points at which a test kills the process, as a power cut would: ANNEAL_FAULT="<point>@<n>" strikes at the n-th passage.

export type FaultPoint =
  | "mid-accumulation"
  | "in-replica"
  | "during-update"
  | "during-evaluation"
  | "between-checkpoint-files"
  | "before-rename"
  | "after-rename"

const [struck, passage] = (process.env["ANNEAL_FAULT"] ?? "").split("@")
let passages = 0

export const faultPoint = (point: FaultPoint): void => {
  if (point === struck && ++passages === Number(passage)) process.kill(process.pid, "SIGKILL")
}
