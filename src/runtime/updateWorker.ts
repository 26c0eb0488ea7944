// A thread that takes a share of each optimizer step (UpdateThread.ts): it sleeps between its tasks.
import { receiveMessageOnPort, workerData } from "node:worker_threads"
import { loadKernels } from "./kernels/load.ts"
import { piecesOf, squaresOf } from "./slots.ts"
import { signals, type Task, type ThreadInput } from "./UpdateThread.ts"
import { updateTensor } from "./updateTensor.ts"

const { memories, stages, slots, squares, optimizer, control, port } = workerData as ThreadInput

const serve = (): never => {
  const reaches = memories.map((memory, i) => {
    const { address, elements } = stages[i]!
    return { kernels: loadKernels(memory), stage: { address, data: new Float32Array(memory.buffer, address, elements) } }
  })

  const execute = (task: Task): void => {
    switch (task.work) {
      case "squares":
        return slots.forEach((slot, i) => squaresOf(slot, reaches[slot.memory]!, squares[i]!))
      case "update":
        return slots.forEach((slot, i) => {
          for (const place of piecesOf(slot, reaches[slot.memory]!)) updateTensor(optimizer, place, task.rates[i]!, task.t, task.clip)
        })
    }
  }

  for (let made = 0; ; made++) {
    // Again where a notice comes late: of a task already made.
    while (Atomics.load(control, signals.given) === made) Atomics.wait(control, signals.given, made)
    execute(receiveMessageOnPort(port)!.message as Task)
    Atomics.store(control, signals.made, made + 1)
    Atomics.notify(control, signals.made)
  }
}

try {
  serve()
} catch (error) {
  port.postMessage(String(error))
  Atomics.store(control, signals.failed, 1)
  // Whoever waits looks again.
  Atomics.add(control, signals.made, 1)
  Atomics.notify(control, signals.made)
}
