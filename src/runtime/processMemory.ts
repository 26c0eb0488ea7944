// Resident memory of the processes of a training, in bytes.

export interface ProcessMemory {
  readonly rss: number
  readonly peakRss: number
}

export const ownMemory = (): ProcessMemory => ({ rss: process.memoryUsage.rss(), peakRss: process.resourceUsage().maxRSS * 1024 })

/** Of several processes; what they share counts once in each, and the peak is at most the sum of theirs. */
export const summed = (all: readonly ProcessMemory[]): ProcessMemory =>
  all.reduce((sum, { rss, peakRss }) => ({ rss: sum.rss + rss, peakRss: sum.peakRss + peakRss }), { rss: 0, peakRss: 0 })
