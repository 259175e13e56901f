/** Thins out the progress of a download for places where every line stays: logs, and terminals that are none. */
import type { DownloadProgress } from './download.js';

/**
 * A listener that passes on what comes with each further tenth of the whole, but at most one in `intervalMs` and none
 * before; where the whole is not known yet, one in `intervalMs`; and always the one that makes it whole.
 */
export function everyTenth(report: (progress: DownloadProgress) => void, intervalMs: number): (progress: DownloadProgress) => void {
  let reportedTenth = 0;
  let reportedAt = performance.now();
  return (progress) => {
    const { receivedBytes, totalBytes } = progress;
    const tenth = totalBytes === undefined ? reportedTenth : Math.floor((10 * receivedBytes) / Math.max(1, totalBytes));
    const isDue = (totalBytes === undefined || tenth > reportedTenth) && performance.now() - reportedAt >= intervalMs;
    const isLast = tenth >= 10 && reportedTenth < 10;
    if (!isDue && !isLast) return;
    reportedTenth = tenth;
    reportedAt = performance.now();
    report(progress);
  };
}
