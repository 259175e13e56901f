/** What the dialogs of the page have in common. */

/**
 * Closes a dialog by its buttons for that, and by a press beside it that also ends beside it: text that is selected
 * beyond the edge closes nothing.
 *
 * @param {HTMLDialogElement} dialog
 */
export function closeFromOutside(dialog) {
  let wasOutside = false;
  dialog.addEventListener('pointerdown', (event) => (wasOutside = isOutside(dialog, event)));
  dialog.addEventListener('click', (event) => {
    const isButton = /** @type {Element} */ (event.target).closest('[data-close]') !== null;
    if (isButton || (wasOutside && isOutside(dialog, event))) dialog.close();
    wasOutside = false;
  });
}

/** @param {HTMLDialogElement} dialog @param {MouseEvent} event */
function isOutside(dialog, { clientX, clientY }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
