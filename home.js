// Buttons that copy settings. Without them the page is the same.
const {copy, copied} = document.body.dataset;
const spoken = document.createElement("p");
spoken.className = "spoken";
spoken.setAttribute("role", "status");
document.body.append(spoken);
for (const place of document.querySelectorAll(".copy")) {
	const value = place.querySelector(".value");
	const button = document.createElement("button");
	button.type = "button";
	button.textContent = copy;
	button.addEventListener("click", async () => {
		if (navigator.clipboard) { // only with HTTPS, or on the computer itself
			await navigator.clipboard.writeText(value.textContent);
		} else {
			getSelection().selectAllChildren(value);
			document.execCommand("copy");
		}
		button.textContent = spoken.textContent = copied;
		setTimeout(() => {
			button.textContent = copy;
			spoken.textContent = "";
		}, 2000);
	});
	place.append(button);
}
